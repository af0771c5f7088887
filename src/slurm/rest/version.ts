/** Which version of slurmrestd's API is spoken. 0.0.37 and 0.0.38 were tried live on 22.05.8; what differs between them stands in this one
 * table. 0.0.36 is left out: there a submit with gres ended slurmrestd, and an update renamed the job (both seen on 22.05.8). Later ones were not tried. */
import { SlurmFailure } from '../contract/index.ts';
import type { AskRest, RestQuestion } from './ask-rest.ts';

export interface VersionFields {
  readonly container: boolean;
}

export const VERSIONS: Readonly<Record<string, VersionFields>> = {
  'v0.0.37': { container: false },
  'v0.0.38': { container: true },
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
    message: `slurmrestd serves ${[...served].sort().join(', ') || 'no version'}; ${pinned === undefined ? `we speak ${Object.keys(VERSIONS).join(', ')}` : `${pinned} is asked for in the agent's settings`}`,
  });
}
