/**
 * Reads a facility folder into one checked value. All faults of all files are reported together; a facility with a
 * fault is refused whole, so that a running system never sees half of a change.
 */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { z } from 'zod';
import {
  type Environment,
  environmentSchema,
  type Facility,
  facilitySchema,
  type Tier,
  tiersSchema,
} from './facility.ts';
import { readYamlSource, YamlError, type YamlFault, type YamlSource } from './read-yaml.ts';

/** The `.yaml` files of one folder of a facility, by name; an absent folder has none. */
export function yamlFilesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
      .filter((f) => f.endsWith('.yaml'))
      .sort()
      .map((f) => join(directory, f));
  } catch {
    return [];
  }
}

/** Throws YamlError naming every fault by file, line and column. */
export function loadFacility(directory: string): Facility {
  const faults: YamlFault[] = [];
  const attempt = <S extends z.ZodType>(path: string, schema: S): YamlSource<z.output<S>> | undefined => {
    try {
      return readYamlSource(path, schema);
    } catch (error) {
      if (!(error instanceof YamlError)) throw error;
      faults.push(...error.faults);
      return undefined;
    }
  };
  const main = attempt(join(directory, 'facility.yaml'), facilitySchema);
  const tierList = attempt(join(directory, 'qos-tiers.yaml'), tiersSchema);
  const files = yamlFilesIn(join(directory, 'environments'));
  const environments = files.flatMap((file) => {
    const source = attempt(file, environmentSchema);
    return source === undefined ? [] : [{ file, source }];
  });
  if (main === undefined || tierList === undefined || faults.length > 0) throw new YamlError(faults);

  const tiers = new Map(tierList.value.tiers.map((t) => [t.name, t]));
  const known = {
    tiers,
    clusters: new Set(main.value.clusters.map((c) => c.name)),
    environments: new Set(environments.map((e) => e.source.value.name)),
  };
  faults.push(...tierFaults(tierList, tiers));
  for (const { file, source } of environments) faults.push(...environmentFaults(file, source, known));
  faults.push(...facilityFaults(main, known));
  if (faults.length > 0) throw new YamlError(faults);
  const { value } = main;
  return {
    directory,
    name: value.name,
    title: value.title,
    organization: value.organization,
    networks: value.networks,
    clusters: value.clusters,
    streamingNodes: value.dataStreamingNodes,
    projects: new Map(value.projects.map((p) => [p.name, p])),
    environments: new Map(environments.map(({ source }) => [source.value.name, source.value])),
    tiers,
  };
}

interface Known {
  readonly tiers: ReadonlyMap<string, Tier>;
  readonly clusters: ReadonlySet<string>;
  readonly environments: ReadonlySet<string>;
}

/** The second of two entries with one name would silently take the place of the first. */
function twice(
  source: YamlSource<unknown>,
  path: readonly PropertyKey[],
  named: readonly { readonly name: string }[],
): YamlFault[] {
  return named.flatMap(({ name }, i) =>
    named.findIndex((other) => other.name === name) < i
      ? [source.fault([...path, i, 'name'], `${name} is there twice`)]
      : [],
  );
}

function tierFaults(
  source: YamlSource<{ readonly tiers: readonly Tier[] }>,
  tiers: ReadonlyMap<string, Tier>,
): YamlFault[] {
  const list = source.value.tiers;
  const unknown = list.flatMap((tier, i) =>
    tier.preempts.flatMap((victim, j) =>
      tiers.has(victim)
        ? []
        : [source.fault(['tiers', i, 'preempts', j], `tier ${tier.name} preempts ${victim}, which is no tier`)],
    ),
  );
  return [...twice(source, ['tiers'], list), ...unknown];
}

function environmentFaults(file: string, source: YamlSource<Environment>, known: Known): YamlFault[] {
  const { name, cluster, tiers } = source.value;
  const faults = tiers.flatMap((tier, i) =>
    known.tiers.has(tier) ? [] : [source.fault(['tiers', i], `tier ${tier} is not in qos-tiers.yaml`)],
  );
  if (basename(file, '.yaml') !== name) faults.push(source.fault(['name'], `the file's name must be ${name}.yaml`));
  if (!known.clusters.has(cluster))
    faults.push(source.fault(['cluster'], `cluster ${cluster} is not in facility.yaml`));
  return faults;
}

function facilityFaults(source: YamlSource<z.output<typeof facilitySchema>>, known: Known): YamlFault[] {
  const { clusters, dataStreamingNodes, networks, projects } = source.value;
  const faults = [
    ...twice(source, ['clusters'], clusters),
    ...clusters.flatMap((cluster, i) =>
      cluster.scheduler === 'local' ? twice(source, ['clusters', i, 'nodes'], cluster.nodes) : [],
    ),
    ...twice(source, ['dataStreamingNodes'], dataStreamingNodes),
    ...twice(source, ['projects'], projects),
  ];
  const fault = (path: readonly PropertyKey[], detail: string): void => void faults.push(source.fault(path, detail));
  for (const [i, project] of projects.entries()) {
    for (const [j, name] of project.environments.entries())
      if (!known.environments.has(name))
        fault(['projects', i, 'environments', j], `project ${project.name}: no environment ${name}`);
    for (const [j, name] of project.tiers.entries())
      if (!known.tiers.has(name)) fault(['projects', i, 'tiers', j], `project ${project.name}: no tier ${name}`);
  }
  for (const [i, node] of dataStreamingNodes.entries()) {
    for (const side of ['external', 'compute'] as const) {
      if (networks[node[side]] === undefined)
        fault(['dataStreamingNodes', i, side], `data streaming node ${node.name}: no network ${node[side]}`);
    }
    if (node.ports.to < node.ports.from)
      fault(['dataStreamingNodes', i, 'ports', 'to'], `data streaming node ${node.name}: ports.to is below ports.from`);
  }
  return faults;
}
