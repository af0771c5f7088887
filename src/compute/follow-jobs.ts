/**
 * Keeps our copy of the jobs true: one follower per cluster, woken by the scheduler and at least every two seconds. A look asks what has changed and reads those jobs, the ones
 * not handed over yet and the ones to be cancelled; every 30 s, and whenever the scheduler says all it has, every open job is compared. settle-job.ts says what comes of each.
 */
import type { ComputeDeps } from './deps.ts';
import { openJobs, openJobsOf, unsettledJobs } from './follow-store.ts';
import { follow, type Job } from './job.ts';
import { onNative } from './on-native.ts';
import { type NativeJob, type Scheduler, SchedulerError } from './scheduler.ts';
import { settleJob } from './settle-job.ts';

const LOOK_EVERY_MS = 2000;
/** What was missed, for whatever reason, is found this soon. */
const COMPARE_EVERY_MS = 30_000;
/** A cancellation under way is ordered again no sooner: KillWait alone may be 30 s. */
const CANCEL_AGAIN_MS = 10_000;

export interface JobFollower {
  /** Looks now; resolves when our copy is as new as this call. */
  look(): Promise<void>;
  stop(): Promise<void>;
}

interface Following {
  readonly deps: ComputeDeps;
  readonly cluster: string;
  readonly scheduler: Scheduler;
  /** Up to where changes have been copied. */
  cursor: string | undefined;
  /** In milliseconds of the monotonic clock; undefined: never. */
  comparedAtMs: number | undefined;
  /** Heard of, but not copied: copying failed, or somebody else wrote the job meanwhile. By key. */
  again: ReadonlySet<string>;
  /** When the end of a job was ordered last, by id. */
  readonly orderedAtMs: Map<string, number>;
}

export function followJobs(deps: ComputeDeps, cluster: string): JobFollower {
  const scheduler = deps.schedulers.get(cluster);
  if (scheduler === undefined) throw new Error(`cluster ${cluster} has no scheduler`);
  const following: Following = {
    deps,
    cluster,
    scheduler,
    cursor: undefined,
    comparedAtMs: undefined,
    again: new Set(),
    orderedAtMs: new Map(),
  };
  let stopped = false;
  let failing = false;
  let current: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  let cancelTimer = (): void => undefined;

  const arm = (): void => {
    cancelTimer();
    if (!stopped) cancelTimer = deps.clock.after(LOOK_EVERY_MS, wake);
  };
  /** At most one look under way and one waiting: a wake during a look may concern what that look has already read. */
  const look = (): Promise<void> => {
    if (current === undefined) {
      current = once(following).finally(() => {
        current = undefined;
        arm();
      });
      return current;
    }
    next ??= current
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return look();
      });
    return next;
  };
  /** A scheduler that is away is said to be so once, not every two seconds. */
  const wake = (): void => {
    if (stopped) return;
    look().then(
      () => {
        if (failing) deps.log.info({ cluster }, 'jobs are followed again');
        failing = false;
      },
      (cause: unknown) => {
        if (!failing) deps.log.warn({ cluster, err: cause }, 'jobs could not be followed');
        failing = true;
      },
    );
  };
  const unwatch = scheduler.watch(wake);
  wake();
  return {
    look,
    async stop() {
      stopped = true;
      unwatch();
      cancelTimer();
      await (next ?? current)?.catch(() => undefined);
      cancelTimer();
    },
  };
}

async function once(following: Following): Promise<void> {
  const { deps, scheduler } = following;
  const atMs = deps.clock.monotonic();
  const askedAt = deps.clock.now();
  const changes = await scheduler.changes(following.cursor);
  const { comparedAtMs } = following;
  const isDue = comparedAtMs === undefined || atMs - comparedAtMs >= COMPARE_EVERY_MS;
  const all = changes.complete ? changes.jobs : isDue ? await scheduler.list() : undefined;
  const heard: Heard = { askedAt, natives: new Map((all ?? changes.jobs).map((n) => [n.key, n])) };
  const jobs = await toSettle(following, [...heard.natives.keys(), ...following.again], all !== undefined);
  const again = new Set<string>();
  for (const job of jobs) {
    try {
      const native = await saidOf(following, job, heard);
      if (native === undefined && isOrdered(following, job, atMs)) continue;
      if (!(await settleJob(deps, job, { native, complete: all !== undefined }))) again.add(job.id);
      if (job.cancelRequestedAt !== null) following.orderedAtMs.set(job.id, atMs);
    } catch (cause) {
      again.add(job.id);
      deps.log.warn({ job: job.id, err: cause }, 'a job could not be followed');
    }
  }
  following.again = again;
  forgetOrders(following, jobs);
  following.cursor = changes.cursor;
  if (all !== undefined) following.comparedAtMs = atMs;
}

interface Heard {
  /** Wall time, in milliseconds, before the scheduler was asked. */
  readonly askedAt: number;
  readonly natives: ReadonlyMap<string, NativeJob>;
}

/**
 * What the scheduler says of the job, newer than our row. A row that was written after the scheduler was asked (by a hand-over or a hold, say) may hold more than it said: then, and where
 * an earlier look left the job behind, it is asked about this one job anew.
 */
async function saidOf(
  { deps, scheduler, again }: Following,
  job: Job,
  { askedAt, natives }: Heard,
): Promise<NativeJob | undefined> {
  const native = natives.get(job.id);
  const nativeId = native?.nativeId ?? job.nativeId;
  if (nativeId === null) return undefined;
  const isOlder = native !== undefined && job.nativeId !== null && job.updatedAt.getTime() >= askedAt;
  if (!isOlder && !again.has(job.id)) return native;
  if (native !== undefined && follow(job, native, new Date(deps.clock.now())) === job) return native;
  try {
    return await onNative({ id: job.id, nativeId }, (id) => scheduler.show(id));
  } catch (cause) {
    if (cause instanceof SchedulerError && cause.kind === 'not-found') return undefined;
    throw cause;
  }
}

async function toSettle(
  { deps, cluster }: Following,
  heardOf: readonly string[],
  complete: boolean,
): Promise<readonly Job[]> {
  if (complete) return openJobs(deps.db, cluster);
  const unsettled = await unsettledJobs(deps.db, cluster);
  const have = new Set(unsettled.map((j) => j.id));
  const changed = await openJobsOf(
    deps.db,
    cluster,
    heardOf.filter((id) => !have.has(id)),
  );
  return [...unsettled, ...changed];
}

/** Its end was ordered a moment ago, and nothing has been heard of it since. */
function isOrdered({ orderedAtMs }: Following, job: Job, atMs: number): boolean {
  const orderedAt = orderedAtMs.get(job.id);
  return job.nativeId !== null && orderedAt !== undefined && atMs - orderedAt < CANCEL_AGAIN_MS;
}

function forgetOrders({ orderedAtMs }: Following, jobs: readonly Job[]): void {
  const cancelling = new Set(jobs.filter((j) => j.cancelRequestedAt !== null).map((j) => j.id));
  for (const id of orderedAtMs.keys()) if (!cancelling.has(id)) orderedAtMs.delete(id);
}
