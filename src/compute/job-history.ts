/**
 * A cluster's accounting: jobs that ran, ours and those of plain sbatch, a page at a time. A token sees what its project did, without the jobs that Beamway made
 * for an environment that the token does not cover.
 */
import type { Caller } from '../identity/index.ts';
import { Problem } from '../problems.ts';
import type { ForeignJob, HistoryPage, HistoryRow } from './cluster-facts.ts';
import type { ComputeDeps } from './deps.ts';
import { factsOf } from './read-cluster.ts';
import { asked } from './scheduler-problem.ts';
import { environmentsOfJobs } from './store.ts';

type Deps = Pick<ComputeDeps, 'db' | 'schedulers' | 'facility'>;

/** slurmdbd answers what it is asked, however long that takes. */
const LONGEST_SPAN_MS = 366 * 86_400_000;

export interface HistoryAnswer {
  readonly rows: readonly HistoryRow[];
  readonly next: string | null;
}

export interface HistoryQuery {
  readonly cluster: string;
  readonly page: HistoryPage;
}

/** Throws `invalid-request`, `not-found`, `not-supported-here`, `unavailable`. A page may hold fewer rows than were asked for and yet not be the last. */
export async function jobHistory(deps: Deps, caller: Caller, { cluster, page }: HistoryQuery): Promise<HistoryAnswer> {
  const facts = factsOf(deps, cluster, 'history');
  checkSpan(page);
  const mayLook = page.ownProject ? reaches(deps, caller, cluster) : true;
  if (!mayLook) return { rows: [], next: null };
  const { rows, next } = await asked(() => facts.history(page));
  if (caller.kind !== 'token') return { rows, next };
  const known = await environmentsOfJobs(
    deps.db,
    rows.flatMap((r) => r.key ?? []),
  );
  const covered = ({ key }: HistoryRow): boolean => {
    const environment = key === undefined ? undefined : known.get(key);
    return environment === undefined || caller.environments.includes(environment);
  };
  return { rows: rows.filter(covered), next };
}

/** Jobs in the queue that came past us, by the project's account. Throws `not-found`, `not-supported-here`, `unavailable`. */
export async function foreignJobs(
  deps: Deps,
  caller: Caller,
  { cluster, project }: { readonly cluster: string; readonly project: string },
): Promise<readonly ForeignJob[]> {
  const facts = factsOf(deps, cluster, 'jobs of other ways in');
  if (!reaches(deps, caller, cluster)) return [];
  return asked(() => facts.foreign(project));
}

/** A token sees of a cluster what its environments are on. */
function reaches({ facility }: Pick<Deps, 'facility'>, caller: Caller, cluster: string): boolean {
  if (caller.kind !== 'token') return true;
  return caller.environments.some((name) => facility.environments.get(name)?.cluster === cluster);
}

function checkSpan({ sinceMs, untilMs }: HistoryPage): void {
  const detail =
    sinceMs >= untilMs ? 'must be before until' : untilMs - sinceMs > LONGEST_SPAN_MS ? 'at most 366 days' : undefined;
  if (detail === undefined) return;
  throw new Problem('invalid-request', 'The time span cannot be read.', {
    errors: [{ pointer: 'query:/since', detail }],
  });
}
