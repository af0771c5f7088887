/**
 * A job that was handed to Slurm and is not in its queue, though slurmctld answered. It may have ended and been forgotten (MinJobAge), run on unmanaged after a crash of
 * slurmctld, or be lost. The job's own folder is asked first, then its lock, then the accounting database; only silence of all of them for `lostAfterMs` means lost.
 */
import type { AccountingRow } from '../batch-order.ts';
import { type AttemptRecord, type JobRecord, SlurmFailure } from '../contract/index.ts';
import type { AgentDeps, AgentJob, AgentJobs } from './agent-jobs.ts';
import { writeClaims } from './job-folder.ts';
import { type JobState, lastSubmission, parseComment } from './job-state.ts';
import { lockOf } from './lock.ts';
import { type FolderAttempt, outputOf, readAttempts } from './read-attempts.ts';
import { stateOf } from './settle-record.ts';
import { sendAgain } from './submit-job.ts';

/** slurmctld writes its state every five seconds: a number given out in the last ones may be given out again. */
const PROVISIONAL_MS = 6000;

export async function settleMissing(deps: AgentDeps, jobs: AgentJobs, job: AgentJob): Promise<void> {
  const { state } = job;
  const last = lastSubmission(state);
  if (last?.state !== 'sent') return settleUnsent(deps, jobs, job);
  const nowMs = deps.clock.now();
  const { settings } = deps;
  const attempts = state.order.array === undefined ? await readAttempts(settings.jobsRoot, state) : [];
  const exit = attempts.at(-1)?.exit;
  if (exit !== undefined && exit.how === 'ended' && exit.requeues === state.requeues)
    return end(deps, jobs, job, {
      state: exit.code === 0 ? 'completed' : 'failed',
      reason: 'ended; Slurm has forgotten it, its own record tells',
      attempts,
    });
  const lock = await lockOf(settings.jobsRoot, state);
  if (lock === 'held')
    return jobs.save(job, {
      ...state,
      missingSinceMs: nowMs,
      record: {
        ...state.record,
        state: 'running',
        reasonCode: '',
        reason: 'runs on although Slurm has forgotten it: the lock in its folder is held',
        attempts: attempts.map((a, i) => openView(deps, state, { attempt: a, running: i === attempts.length - 1 })),
      },
    });
  if (lock === 'unknown') return;
  const row = await inAccounting(deps, state, last);
  if (row !== undefined) {
    const ended = stateOf({ state: row.state, reasonCode: row.reasonCode, priority: 0 });
    if (row.endedAtMs !== undefined && ended !== 'queued' && ended !== 'running')
      return end(deps, jobs, job, { state: ended, reason: `${ended}, as the accounting database says`, attempts, row });
  }
  const since = state.missingSinceMs ?? nowMs;
  if (nowMs - since < Math.max(settings.lostAfterMs, nowMs - last.atMs < PROVISIONAL_MS ? PROVISIONAL_MS : 0))
    return jobs.save(job, {
      ...state,
      missingSinceMs: since,
      record: { ...state.record, reason: 'Slurm does not show it; looking whether it ended, runs on or is lost' },
    });
  if (state.cancelled)
    return end(deps, jobs, job, { state: 'cancelled', reason: 'cancelled; Slurm had forgotten it', attempts });
  if (state.order.resubmitIfLost) {
    deps.log.warn({ job: state.order.key, nativeId: last.nativeId }, 'Slurm has lost a job; it is submitted again');
    return sendAgain(deps, jobs, job);
  }
  deps.log.warn({ job: state.order.key, nativeId: last.nativeId }, 'Slurm has lost a job');
  return end(deps, jobs, job, {
    state: 'lost',
    reason: `Slurm had acknowledged it as ${last.nativeId} and has lost it; submit it again`,
    attempts,
  });
}

/** Whether it arrived is not known. Nobody repeats a cancelled one, so that is ended here, fenced. */
async function settleUnsent(deps: AgentDeps, jobs: AgentJobs, job: AgentJob): Promise<void> {
  const { state } = job;
  const last = lastSubmission(state);
  if (state.cancelled)
    return end(deps, jobs, job, { state: 'cancelled', reason: 'cancelled before Slurm had it', attempts: [] });
  // A first submission is repeated by whoever submitted it; a later one is ours.
  if (last !== undefined && last.number > 1 && last.state === 'sending') await sendAgain(deps, jobs, job);
}

interface Ending {
  readonly state: JobRecord['state'];
  readonly reason: string;
  readonly attempts: readonly FolderAttempt[];
  readonly row?: AccountingRow;
}

async function end(deps: AgentDeps, jobs: AgentJobs, job: AgentJob, how: Ending): Promise<void> {
  const { state } = job;
  const atMs = how.row?.endedAtMs ?? how.attempts.at(-1)?.exit?.atMs ?? deps.clock.now();
  await jobs.save(job, {
    ...state,
    record: {
      ...state.record,
      state: how.state,
      reasonCode: '',
      reason: how.reason,
      endedAtMs: atMs,
      attempts: how.attempts.map((attempt) => endedView(deps, state, { attempt, how, atMs })),
    },
  });
  await writeClaims(deps.settings.jobsRoot, job.state, []).catch(() => undefined);
}

function baseView(deps: AgentDeps, state: JobState, attempt: FolderAttempt): AttemptRecord {
  return {
    attempt: attempt.attempt,
    submission: attempt.submission,
    nativeId: attempt.nativeId,
    startedAtMs: attempt.startedAtMs,
    nodes: [...attempt.nodes],
    ...outputOf(deps.settings.jobsRoot, state)(attempt),
  };
}

function openView(
  deps: AgentDeps,
  state: JobState,
  { attempt, running }: { readonly attempt: FolderAttempt; readonly running: boolean },
): AttemptRecord {
  const base = baseView(deps, state, attempt);
  return running ? base : endedView(deps, state, { attempt, how: undefined, atMs: attempt.startedAtMs });
}

function endedView(
  deps: AgentDeps,
  state: JobState,
  { attempt, how, atMs }: { readonly attempt: FolderAttempt; readonly how: Ending | undefined; readonly atMs: number },
): AttemptRecord {
  const { exit } = attempt;
  const last = how !== undefined && how.attempts.at(-1) === attempt;
  const word =
    exit?.how === 'ended' ? (exit.code === 0 ? 'completed' : 'failed') : last ? outcomeWord(how.state) : 'requeued';
  return {
    ...baseView(deps, state, attempt),
    endedAtMs: Math.max(attempt.startedAtMs, exit?.atMs ?? atMs),
    outcome: word,
    ...(exit === undefined ? {} : { exitCode: exit.code }),
  };
}

function outcomeWord(state: JobRecord['state']): NonNullable<AttemptRecord['outcome']> {
  return state === 'completed' || state === 'failed' || state === 'cancelled' || state === 'timed-out'
    ? state
    : 'node-failed';
}

/** The row of this submission: by comment where the site stores it, else by number, user and time, as numbers are given out again. */
async function inAccounting(
  deps: AgentDeps,
  state: JobState,
  last: NonNullable<ReturnType<typeof lastSubmission>>,
): Promise<AccountingRow | undefined> {
  try {
    const rows = await deps.read.history({
      sinceMs: last.atMs - 60_000,
      untilMs: deps.clock.now() + 60_000,
      ...(last.nativeId === undefined ? {} : { jobIds: [last.nativeId] }),
    });
    return rows
      .filter((row) => row.user === state.unix.name)
      .filter((row) => {
        const parts = parseComment(row.comment);
        if (parts !== undefined) return parts.key === state.order.key && parts.submission === last.number;
        return Math.abs(row.submittedAtMs - last.atMs) < 5000;
      })
      .at(-1);
  } catch (cause) {
    // Without the database there is one witness less, and nothing is concluded from its silence.
    if (cause instanceof SlurmFailure) return undefined;
    throw cause;
  }
}
