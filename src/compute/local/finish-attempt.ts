/**
 * An attempt is over: its slots are free, and the job ends or goes back into the queue. The one place that decides
 * which. Synchronous, so that the next decision sees the slots at once; the record is written behind.
 */
import { endJob, enqueueJob } from '../../batch/index.ts';
import type { AttemptOutcome, NativeJobState } from '../scheduler.ts';
import type { Exit } from './attempt-files.ts';
import { type AttemptRecord, openAttempt, withAttempt } from './job-record.ts';
import { batchJobOf, type LocalCluster, type LocalJob } from './local-cluster.ts';
import { saveJob } from './save-job.ts';

/** A job whose runner dies so often in a row kills it itself. */
const NODE_FAILURES_IN_A_ROW = 5;

export type AttemptEnd =
  | { readonly kind: 'exit'; readonly exit: Exit }
  /** Its runner is gone and left no word. */
  | { readonly kind: 'node-failed'; readonly detail: string }
  /** No runner took it: its script has not run. */
  | { readonly kind: 'not-started'; readonly detail: string; readonly retryAfterMs?: number };

export function finishAttempt(cluster: LocalCluster, job: LocalJob, end: AttemptEnd): void {
  const attempt = openAttempt(job.record);
  if (attempt === undefined) return;
  const nowMs = cluster.options.clock.now();
  const closed = closeAttempt(attempt, end, { nowMs, cause: job.ending?.cause });
  job.record = withAttempt(job.record, closed);
  job.unfollow?.();
  job.unfollow = undefined;
  freeSlots(cluster, job, attempt);

  const retryAfterMs = end.kind === 'not-started' ? end.retryAfterMs : undefined;
  const next = nextState(cluster, job, {
    closed,
    notBeforeMs: retryAfterMs === undefined ? undefined : nowMs + retryAfterMs,
  });
  job.ending = undefined;
  if (next.kind === 'ended') {
    job.record = { ...job.record, ended: { state: next.state, reason: next.reason, atMs: closed.endedAtMs ?? nowMs } };
  } else {
    job.batch = batchJobOf(cluster, job.record, next.notBeforeMs);
    enqueueJob(cluster.state, job.batch);
  }
  const { nativeId } = job.record;
  cluster.options.log.info(
    { job: nativeId, attempt: attempt.attempt, outcome: closed.outcome, next: next.kind },
    'an attempt ended',
  );
  saveJob(cluster, job).catch(() => {}); // logged; exit.json tells the same after a restart
  cluster.wake();
}

function freeSlots(cluster: LocalCluster, job: LocalJob, attempt: AttemptRecord): void {
  if (job.running !== undefined) endJob(cluster.state, job.running);
  job.running = undefined;
  for (const part of attempt.placement) {
    const taken = cluster.taken[cluster.options.nodes.findIndex((node) => node.name === part.node)];
    for (const slot of part.slots) taken?.delete(slot);
  }
}

interface Facts {
  readonly nowMs: number;
  readonly cause: 'cancel' | 'preempt' | 'shutdown' | undefined;
}

function closeAttempt(attempt: AttemptRecord, end: AttemptEnd, { nowMs, cause }: Facts): AttemptRecord {
  if (end.kind !== 'exit') {
    // What never ran is not preempted or shut down: it keeps its right to run, requeue or not.
    const outcome =
      cause === undefined || (end.kind === 'not-started' && cause !== 'cancel') ? end.kind : endedOutcome(cause);
    return { ...attempt, endedAtMs: nowMs, outcome, detail: end.detail };
  }
  const { exit } = end;
  return {
    ...attempt,
    ...(exit.startedAtMs === undefined ? {} : { startedAtMs: exit.startedAtMs }),
    endedAtMs: exit.endedAtMs,
    outcome: exitOutcome(exit, cause),
    ...(exit.exitCode === undefined ? {} : { exitCode: exit.exitCode }),
    ...(exit.signal === undefined ? {} : { signal: exit.signal }),
    ...(exit.detail === undefined ? {} : { detail: exit.detail }),
  };
}

function endedOutcome(cause: 'cancel' | 'preempt' | 'shutdown'): AttemptOutcome {
  switch (cause) {
    case 'cancel':
      return 'cancelled';
    case 'preempt':
      return 'preempted';
    case 'shutdown':
      return 'shut-down';
  }
}

function exitOutcome(exit: Exit, cause: Facts['cause']): AttemptOutcome {
  switch (exit.reason) {
    case 'exited':
      return exit.exitCode === 0 ? 'completed' : 'failed';
    case 'time-limit':
      return 'timed-out';
    case 'ended':
      return endedOutcome(cause ?? 'cancel'); // somebody else sent SIGTERM to the runner
    case 'not-started':
      return 'failed';
  }
}

type Next =
  | { readonly kind: 'ended'; readonly state: NativeJobState; readonly reason: string }
  | { readonly kind: 'queued'; readonly notBeforeMs?: number };

interface Closed {
  readonly closed: AttemptRecord;
  readonly notBeforeMs: number | undefined;
}

function nextState(cluster: LocalCluster, job: LocalJob, { closed, notBeforeMs }: Closed): Next {
  const { spec, attempts } = job.record;
  const queued: Next = { kind: 'queued' };
  const ended = (state: NativeJobState, reason: string): Next => ({ kind: 'ended', state, reason });
  switch (closed.outcome) {
    case 'completed':
      return ended('completed', '');
    case 'timed-out':
      return ended('timed-out', `ran into its time limit of ${spec.timeLimitSeconds} s`);
    case 'cancelled':
      return ended('cancelled', 'was cancelled');
    case 'preempted': {
      const tier = cluster.state.tiers[job.batch.tier];
      if (tier?.preemptMode === 'requeue' && spec.requeue) return queued;
      return ended('cancelled', `made room for job ${job.ending?.forJob ?? '?'} and may not be queued again`);
    }
    case 'shut-down':
      return spec.requeue
        ? queued
        : ended('cancelled', 'the cluster was shut down and the job may not be queued again');
    case 'node-failed': {
      const inARow = attempts.length - 1 - attempts.findLastIndex((a) => a.outcome !== 'node-failed');
      if (spec.requeue && inARow < NODE_FAILURES_IN_A_ROW) return queued;
      return ended('node-failed', closed.detail ?? 'its runner is gone');
    }
    case 'not-started':
      return notBeforeMs === undefined ? queued : { kind: 'queued', notBeforeMs };
    default:
      return ended(
        'failed',
        closed.detail ??
          (closed.signal === undefined ? `exit code ${closed.exitCode ?? '?'}` : `killed by ${closed.signal}`),
      );
  }
}
