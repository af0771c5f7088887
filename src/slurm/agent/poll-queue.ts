/**
 * The one poller of a cluster: reads Slurm's queue once for all jobs and settles those that have not ended. Its pace does not depend on how many watch: one look a
 * `pollMs`, some quick ones after a submit or an act, none while there is no open job. Also removes what no job of ours may have: superseded submissions.
 */
import type { QueueRow } from '../batch-order.ts';
import { SlurmFailure } from '../contract/index.ts';
import type { AgentDeps, AgentJob, AgentJobs } from './agent-jobs.ts';
import { lastSubmission, parseComment } from './job-state.ts';
import { lacksCause, learnCauses } from './learn-causes.ts';
import { isHeldAfterLaunch, retryLaunch } from './retry-launch.ts';
import { type Seen, settleJob } from './settle-job.ts';

const QUICK_MS = 250;
const QUICK_FOR_MS = 2000;
const DOWN_MS = 2000;

export interface QueuePoller {
  /** Something was done: look soon, and quickly for a while. */
  nudge(): void;
  /** How often Slurm was asked. */
  looks(): number;
  stop(): Promise<void>;
}

export function pollQueue(deps: AgentDeps, jobs: AgentJobs): QueuePoller {
  const { clock, settings, log } = deps;
  let stopped = false;
  let looks = 0;
  let quickUntil = clock.monotonic() + QUICK_FOR_MS;
  let cancelTimer = (): void => undefined;
  let current: Promise<void> | undefined;
  let down = false;

  const look = async (): Promise<void> => {
    if (jobs.open().length === 0) return;
    looks += 1;
    try {
      const atMs = clock.now();
      await settleAll(deps, jobs, { rows: await deps.read.queue(), atMs });
      if (down) log.info({}, 'Slurm answers again');
      down = false;
    } catch (cause) {
      if (!(cause instanceof SlurmFailure)) throw cause;
      if (!down) log.warn({ detail: cause.message }, 'Slurm does not answer; jobs stand as they were last seen');
      down = true;
    }
  };
  const arm = (): void => {
    cancelTimer();
    if (stopped) return;
    const quick = clock.monotonic() < quickUntil;
    const pause = down ? DOWN_MS : quick ? Math.min(QUICK_MS, settings.pollMs) : settings.pollMs;
    cancelTimer = clock.after(pause, turn);
  };
  const turn = (): void => {
    if (stopped || current !== undefined) return;
    current = look()
      .catch((cause: unknown) => log.error({ err: cause }, 'the queue could not be read'))
      .finally(() => {
        current = undefined;
        arm();
      });
  };
  turn();
  return {
    nudge() {
      quickUntil = clock.monotonic() + QUICK_FOR_MS;
      if (current === undefined) arm();
    },
    looks: () => looks,
    async stop() {
      stopped = true;
      cancelTimer();
      await current;
      cancelTimer();
    },
  };
}

async function settleAll(deps: AgentDeps, jobs: AgentJobs, { rows, atMs }: Seen): Promise<void> {
  const byJob = Map.groupBy(rows, (row) => ownerOf(deps, jobs, row));
  for (const job of jobs.open()) {
    const { key } = job.state.order;
    const own = byJob.get(job) ?? [];
    if (own.length > 0 && job.settledFrom === JSON.stringify(own)) continue;
    await jobs
      .alone(key, () => settleJob(deps, jobs, job, { rows: own, atMs }))
      .catch((cause: unknown) => deps.log.warn({ job: key, err: cause }, 'a job could not be settled'));
  }
  await relearn(deps, jobs, { byJob, atMs });
  for (const row of rows) {
    await dropSuperseded(deps, jobs, row);
    const job = isHeldAfterLaunch(row) ? ownerOf(deps, jobs, row) : undefined;
    if (job !== undefined) await jobs.alone(job.state.order.key, () => retryLaunch(deps, job, row));
  }
}

/** For a while after a job was put back: the accounting database is a moment behind. */
const BEHIND_MS = 30_000;

async function relearn(
  deps: AgentDeps,
  jobs: AgentJobs,
  seen: { readonly byJob: ReadonlyMap<AgentJob | undefined, readonly QueueRow[]>; readonly atMs: number },
): Promise<void> {
  const fresh = jobs.open().filter((job) => {
    const last = job.state.record.attempts.at(-1);
    return lacksCause(job) && seen.atMs - (last?.endedAtMs ?? last?.startedAtMs ?? 0) < BEHIND_MS;
  });
  await learnCauses(deps, fresh);
  for (const job of fresh.filter((j) => !lacksCause(j)))
    await jobs.alone(job.state.order.key, () =>
      settleJob(deps, jobs, job, { rows: seen.byJob.get(job) ?? [], atMs: seen.atMs }),
    );
}

/** By comment and user, as a number may be given out twice. */
export function ownerOf(deps: AgentDeps, jobs: AgentJobs, row: QueueRow): AgentJob | undefined {
  const parts = parseComment(row.comment);
  if (parts === undefined || parts.instance !== deps.settings.instance) return undefined;
  const job = jobs.get(parts.key);
  if (job === undefined || row.user !== job.state.unix.name) return undefined;
  const last = lastSubmission(job.state);
  if (last === undefined || parts.submission !== last.number) return undefined;
  return last.nativeId === undefined || last.nativeId === row.jobId ? job : undefined;
}

const OVER = /^(COMPLET|FAILED|CANCELLED|TIMEOUT|PREEMPTED|NODE_FAIL|BOOT_FAIL|DEADLINE|OUT_OF)/;

async function dropSuperseded(deps: AgentDeps, jobs: AgentJobs, row: QueueRow): Promise<void> {
  const parts = parseComment(row.comment);
  if (parts === undefined || parts.instance !== deps.settings.instance || OVER.test(row.state)) return;
  const job = jobs.get(parts.key);
  if (job === undefined || row.user !== job.state.unix.name) return;
  const last = lastSubmission(job.state);
  const late = job.state.cancelled && last?.state === 'sending';
  if (last === undefined || (parts.submission >= last.number && !late)) return;
  deps.log.warn({ job: parts.key, nativeId: row.jobId }, 'an earlier submission of a job turned up; it is cancelled');
  await deps.write.cancel(row.jobId, job.state.unix).catch((cause: unknown) => {
    deps.log.warn({ nativeId: row.jobId, err: cause }, 'it could not be cancelled');
  });
}
