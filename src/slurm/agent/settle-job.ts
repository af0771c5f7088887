/** Brings one job's state up to what Slurm's queue says now, reading its folder only when something moved. Runs alone for its key. */
import type { QueueRow } from '../batch-order.ts';
import type { JobRecord } from '../contract/index.ts';
import type { AgentDeps, AgentJob, AgentJobs } from './agent-jobs.ts';
import { writeClaims } from './job-folder.ts';
import { type JobState, lastSubmission, recordEnded } from './job-state.ts';
import { settleMissing } from './missing-job.ts';
import { outputOf, readAttempts } from './read-attempts.ts';
import { awaitsAttempt, settle, settleArray, stateOf } from './settle-record.ts';

/** How long an ended job's exit record may come late over a network file system. */
const LATE_RECORD_MS = 3000;

export interface Seen {
  /** Those of the queue that are this job's; several for an array. */
  readonly rows: readonly QueueRow[];
  /** When the queue was asked for. */
  readonly atMs: number;
}

export async function settleJob(deps: AgentDeps, jobs: AgentJobs, job: AgentJob, { rows, atMs }: Seen): Promise<void> {
  const { state } = job;
  if (recordEnded(state.record.state)) return;
  const row = rows.at(0);
  if (row === undefined) {
    // What was submitted after the queue was asked for cannot be in it.
    if ((lastSubmission(state)?.atMs ?? 0) >= atMs) return;
    return settleMissing(deps, jobs, job);
  }
  const { missingSinceMs: _, ...found } = adopt(state, row);
  const next = state.order.array === undefined ? await single(deps, job, found, row) : await array(deps, found, rows);
  await jobs.save(job, next);
  const { record } = next;
  // What the wrapper writes may be seen a moment later than what Slurm says.
  const running = record.tasks?.running ?? 0;
  const unread =
    state.order.array === undefined
      ? awaitsAttempt(row, job.attempts)
      : record.attempts.filter((a) => a.outcome === undefined).length < running;
  const awaited = record.state === 'completing' || unread;
  job.settledFrom = awaited ? '' : JSON.stringify(rows);
  if (recordEnded(record.state)) await writeClaims(deps.settings.jobsRoot, next, []).catch(() => undefined);
}

/** A job found by its comment whose number we never learned. */
function adopt(state: JobState, row: QueueRow): JobState {
  const last = lastSubmission(state);
  if (last === undefined || last.nativeId === row.jobId) return state;
  const submissions = state.submissions.map((s) =>
    s.number === last.number ? { ...s, state: 'sent' as const, nativeId: row.jobId } : s,
  );
  return { ...state, submissions, record: { ...state.record, nativeId: row.jobId } };
}

/** What of a row makes reading the folder worth it. */
const signature = (row: QueueRow): string =>
  [row.jobId, row.state, row.restarts, row.startMs, row.endMs, row.preemptMs].join(' ');

async function single(deps: AgentDeps, job: AgentJob, state: JobState, row: QueueRow): Promise<JobState> {
  const { settings, clock } = deps;
  const seen = signature(row);
  const running = row.state === 'RUNNING';
  const complete = !running || (job.attempts.at(-1)?.attempt ?? 0) > row.restarts;
  if (job.seen !== seen || !complete || row.state === 'COMPLETING') {
    job.attempts = await readAttempts(settings.jobsRoot, state);
    job.seen = seen;
  }
  const submission = lastSubmission(state)?.number ?? 1;
  const settled = settle({
    row,
    submission,
    attempts: job.attempts,
    outputOf: outputOf(settings.jobsRoot, state),
    causes: job.causes,
  });
  if (
    recordEnded(settled.state) &&
    (row.state === 'COMPLETED' || row.state === 'FAILED') &&
    job.attempts.at(-1)?.exit === undefined &&
    row.startMs !== undefined &&
    clock.now() - (row.endMs ?? 0) < LATE_RECORD_MS
  ) {
    job.seen = '';
    return { ...state, record: { ...state.record, ...facts(deps, row), state: 'completing' } };
  }
  const { record } = state;
  return {
    ...state,
    record: {
      ...record,
      ...facts(deps, row),
      ...(settled.state === 'timed-out' ? { reasonCode: 'TimeLimit', reason: 'it reached its time limit' } : {}),
      state: settled.state,
      attempts: [...settled.attempts],
      ...(settled.endedAtMs === undefined ? {} : { endedAtMs: settled.endedAtMs }),
    },
  };
}

async function array(deps: AgentDeps, state: JobState, rows: readonly QueueRow[]): Promise<JobState> {
  const { order } = state;
  const { first, last, step } = order.array ?? { first: 0, last: 0, step: 1 };
  const total = Math.floor((last - first) / step) + 1;
  const endedTasks: Record<string, 'completed' | 'failed' | 'cancelled'> = { ...state.endedTasks };
  const attempts = new Map(state.record.attempts.map((a) => [`${a.task}/${a.attempt}`, a]));
  let endedAtMs = state.record.endedAtMs ?? 0;
  for (const row of rows) {
    const now = stateOf(row);
    for (const task of row.tasks ?? []) {
      if (endedTasks[task] !== undefined || row.startMs === undefined || now === 'queued' || now === 'held') {
        if (recordEnded(now)) endedTasks[task] ??= 'cancelled';
        continue;
      }
      const read = await readAttempts(deps.settings.jobsRoot, state, task);
      const settled = settle({
        row,
        submission: lastSubmission(state)?.number ?? 1,
        attempts: read,
        outputOf: outputOf(deps.settings.jobsRoot, state),
      });
      for (const a of settled.attempts) attempts.set(`${a.task}/${a.attempt}`, a);
      if (!recordEnded(now)) continue;
      endedTasks[task] = now === 'completed' ? 'completed' : now === 'cancelled' ? 'cancelled' : 'failed';
      endedAtMs = Math.max(endedAtMs, row.endMs ?? 0);
    }
  }
  const whole = settleArray(total, rows, endedTasks);
  const waiting = rows.find((r) => r.state === 'PENDING') ?? rows[0];
  return {
    ...state,
    endedTasks,
    record: {
      ...state.record,
      ...(waiting === undefined ? {} : facts(deps, waiting)),
      nativeId: state.record.nativeId,
      state: whole.state,
      tasks: whole.tasks,
      attempts: [...attempts.values()].sort((a, b) => (a.task ?? 0) - (b.task ?? 0) || a.attempt - b.attempt),
      ...(recordEnded(whole.state) ? { endedAtMs } : {}),
    },
  };
}

/** What the row says beside its state. */
function facts(deps: AgentDeps, row: QueueRow): Partial<JobRecord> {
  const waits = row.state === 'PENDING';
  return {
    name: row.name,
    partition: row.partition,
    reasonCode: row.reasonCode,
    reason: deps.reason(row),
    ...(waits && row.startMs !== undefined ? { expectedStartMs: row.startMs } : {}),
  };
}
