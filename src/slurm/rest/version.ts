/**
 * Which version of slurmrestd's API is spoken, and what differs between them: this one table. 0.0.37 and 0.0.38 were tried live on 22.05.8. 0.0.39 to 0.0.44 are read from Slurm's own
 * sources (src/plugins/data_parser/v0.0.NN/parsers.c, JOB_DESC_MSG; src/interfaces/gres.c for the prefix) and tried against a fake only. 0.0.36 is left out: there a submit with gres
 * ended slurmrestd, and an update renamed the job (both seen on 22.05.8).
 */
import { SlurmFailure } from '../contract/index.ts';
import type { AskRest, RestQuestion } from './ask-rest.ts';

export interface VersionFields {
  /** Against a real slurmrestd, by us. */
  readonly triedLive: boolean;
  readonly container: boolean;
  /** `environment`: an object, or a list of NAME=VALUE. */
  readonly environment: 'object' | 'list';
  /** `time_limit` (minutes) and `memory_per_node` (MiB): a number, or {set, infinite, number}. */
  readonly numbers: 'plain' | 'flagged';
  /** `begin_time`: text such as now+60, seconds since 1970, or those as {set, infinite, number}. */
  readonly begin: 'from-now' | 'seconds' | 'flagged';
  /** `open_mode`: append, or [APPEND]. */
  readonly openMode: 'word' | 'list';
  readonly gres: { readonly field: 'gres' | 'tres_per_node'; readonly prefix: '' | 'gres:' | 'gres/' };
  /** `exclusive: exclusive`, or `shared: [none]`. */
  readonly exclusive: 'word' | 'shared';
  /** 22.05 drops it silently. */
  readonly requeue: boolean;
}

const OF_22_05 = {
  triedLive: true,
  container: true,
  environment: 'object',
  numbers: 'plain',
  begin: 'from-now',
  openMode: 'word',
  gres: { field: 'gres', prefix: '' },
  exclusive: 'word',
  requeue: false,
} as const satisfies VersionFields;

/** The newest API of Slurm 23.02. */
const OF_23_02 = {
  triedLive: false,
  container: true,
  environment: 'list',
  numbers: 'flagged',
  begin: 'seconds',
  openMode: 'list',
  gres: { field: 'tres_per_node', prefix: 'gres:' },
  exclusive: 'shared',
  requeue: true,
} as const satisfies VersionFields;

/** From Slurm 23.11 on. */
const OF_23_11 = { ...OF_23_02, begin: 'flagged', gres: { field: 'tres_per_node', prefix: 'gres/' } } as const;

/** Oldest first. */
export const VERSIONS: Readonly<Record<string, VersionFields>> = {
  'v0.0.37': { ...OF_22_05, container: false },
  'v0.0.38': OF_22_05,
  'v0.0.39': OF_23_02,
  'v0.0.40': OF_23_11,
  'v0.0.41': OF_23_11,
  'v0.0.42': OF_23_11,
  'v0.0.43': OF_23_11,
  'v0.0.44': OF_23_11,
};

/** The newest that both sides know, or the pinned one. SlurmFailure where there is none. */
export async function negotiateVersion(
  ask: AskRest,
  as: NonNullable<RestQuestion['as']>,
  pinned: string | undefined,
): Promise<string> {
  const document = await ask({ method: 'GET', path: '/openapi/v3', as });
  const paths = (document as { readonly paths?: object } | null)?.paths ?? {};
  const served = new Set(Object.keys(paths).flatMap((path) => /^\/slurm\/(v0\.0\.\d+)\//.exec(path)?.[1] ?? []));
  const known = Object.keys(VERSIONS).filter((v) => served.has(v) && (pinned === undefined || v === pinned));
  const newest = known.at(-1);
  if (newest !== undefined) return newest;
  throw new SlurmFailure({
    kind: 'unavailable',
    message: `slurmrestd serves ${[...served].sort().join(', ') || 'no version'}; ${pinned === undefined ? `we speak ${Object.keys(VERSIONS).join(', ')}: load one of them (slurmrestd -d), or give the agent \`become\` and no restUrl` : `${pinned} is asked for in the agent's settings`}`,
  });
}
