/**
 * Reads a facility folder into one checked value. All faults of all files are reported together; a facility with a
 * fault is refused whole, so that a running system never sees half of a change.
 */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { z } from 'zod';
import { environmentSchema, type Facility, facilitySchema, tiersSchema } from './facility.ts';
import { readYaml, YamlError, type YamlFault } from './read-yaml.ts';

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
  const attempt = <S extends z.ZodType>(path: string, schema: S): z.output<S> | undefined => {
    try {
      return readYaml(path, schema);
    } catch (error) {
      if (!(error instanceof YamlError)) throw error;
      faults.push(...error.faults);
      return undefined;
    }
  };
  const facilityFile = join(directory, 'facility.yaml');
  const main = attempt(facilityFile, facilitySchema);
  const tiersFile = join(directory, 'qos-tiers.yaml');
  const tierList = attempt(tiersFile, tiersSchema)?.tiers ?? [];
  const files = yamlFilesIn(join(directory, 'environments'));
  const environments = files.flatMap((file) => {
    const environment = attempt(file, environmentSchema);
    return environment === undefined ? [] : [{ file, environment }];
  });
  if (main === undefined || faults.length > 0) throw new YamlError(faults);

  const fault = (file: string, detail: string): void => void faults.push({ file, line: 1, column: 1, detail });
  const tiers = new Map(tierList.map((t) => [t.name, t]));
  const clusters = new Set(main.clusters.map((c) => c.name));
  for (const tier of tierList) {
    for (const victim of tier.preempts)
      if (!tiers.has(victim)) fault(tiersFile, `tier ${tier.name} preempts ${victim}, which is no tier`);
  }
  for (const { file, environment } of environments) {
    if (basename(file, '.yaml') !== environment.name) fault(file, `the file's name must be ${environment.name}.yaml`);
    if (!clusters.has(environment.cluster)) fault(file, `cluster ${environment.cluster} is not in facility.yaml`);
    for (const tier of environment.tiers) if (!tiers.has(tier)) fault(file, `tier ${tier} is not in qos-tiers.yaml`);
  }
  const names = new Set(environments.map((e) => e.environment.name));
  for (const project of main.projects) {
    for (const e of project.environments)
      if (!names.has(e)) fault(facilityFile, `project ${project.name}: no environment ${e}`);
    for (const t of project.tiers) if (!tiers.has(t)) fault(facilityFile, `project ${project.name}: no tier ${t}`);
  }
  for (const node of main.dataStreamingNodes) {
    for (const network of [node.external, node.compute]) {
      if (main.networks[network] === undefined)
        fault(facilityFile, `data streaming node ${node.name}: no network ${network}`);
    }
    if (node.ports.to < node.ports.from)
      fault(facilityFile, `data streaming node ${node.name}: ports.to is below ports.from`);
  }
  if (faults.length > 0) throw new YamlError(faults);
  return {
    directory,
    name: main.name,
    title: main.title,
    organization: main.organization,
    networks: main.networks,
    clusters: main.clusters,
    streamingNodes: main.dataStreamingNodes,
    projects: new Map(main.projects.map((p) => [p.name, p])),
    environments: new Map(environments.map(({ environment }) => [environment.name, environment])),
    tiers,
  };
}
