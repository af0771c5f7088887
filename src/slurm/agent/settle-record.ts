/**
 * A job's record as it must be, from what Slurm's queue says and what the job's folder proves. Pure: no clock, no I/O. Slurm owns the truth while it knows the job;
 * what it has forgotten is decided by `missing-job.ts`.
 */

import type { QueueRow } from '../batch-order.ts';
import type { AttemptRecord, JobRecord, RecordState } from '../contract/index.ts';
import type { FolderAttempt } from './read-attempts.ts';

export interface Settled {
  readonly state: RecordState;
  readonly attempts: readonly AttemptRecord[];
  readonly endedAtMs?: number;
}

export interface Proof {
  readonly row: QueueRow;
  /** Number of the submission that the row is. */
  readonly submission: number;
  readonly attempts: readonly FolderAttempt[];
  readonly outputOf: (attempt: FolderAttempt) => { readonly stdoutPath: string; readonly stderrPath: string };
  /** Why runs before the last one ended, by attempt: Slurm's queue forgets that, its accounting tells. */
  readonly causes?: ReadonlyMap<number, NonNullable<AttemptRecord['outcome']>>;
}

/** Slurm's states to ours. What is unknown to this table counts as queued: it is neither lost nor ended. */
export function stateOf(row: Pick<QueueRow, 'state' | 'reasonCode' | 'priority'>): RecordState {
  switch (row.state) {
    case 'PENDING':
    case 'REQUEUED':
    case 'RESV_DEL_HOLD':
    case 'REQUEUE_HOLD':
    case 'SPECIAL_EXIT':
    case 'REQUEUE_FED':
      return row.state.endsWith('HOLD') || row.state === 'SPECIAL_EXIT' || /^JobHeld|held$/i.test(row.reasonCode)
        ? 'held'
        : 'queued';
    case 'CONFIGURING':
    case 'POWER_UP_NODE':
      return 'queued';
    case 'RUNNING':
    case 'SIGNALING':
    case 'STAGE_OUT':
    case 'RESIZING':
      return 'running';
    case 'SUSPENDED':
    case 'STOPPED':
      return 'suspended';
    case 'COMPLETING':
      return 'completing';
    case 'COMPLETED':
      return 'completed';
    case 'FAILED':
    case 'OUT_OF_MEMORY':
    case 'LAUNCH_FAILED':
    case 'RECONFIG_FAIL':
      return 'failed';
    case 'TIMEOUT':
      return 'timed-out';
    case 'CANCELLED':
    case 'DEADLINE':
    case 'REVOKED':
    case 'PREEMPTED':
      return 'cancelled';
    case 'NODE_FAIL':
    case 'BOOT_FAIL':
      return 'node-failed';
    default:
      return 'queued';
  }
}

const ENDING: ReadonlySet<RecordState> = new Set(['completed', 'failed', 'timed-out', 'cancelled', 'node-failed']);

/** Slurm counts whole seconds. */
const NEAR_MS = 2000;

/** Slurm runs it, and what its wrapper wrote of that run is not to be seen yet. */
export function awaitsAttempt(row: QueueRow, attempts: readonly FolderAttempt[]): boolean {
  const state = stateOf(row);
  if (state !== 'running' && state !== 'suspended') return false;
  if (attempts.some((a) => a.exit === undefined && a.startedAtMs >= (row.startMs ?? 0) - NEAR_MS)) return false;
  return attempts.filter((a) => a.task !== undefined || a.nativeId === row.jobId).length <= row.restarts;
}

export function settle(proof: Proof): Settled {
  const settled = settleKnown(proof);
  const { row, attempts, outputOf } = proof;
  if (!awaitsAttempt(row, attempts)) return settled;
  const last = attempts.at(-1);
  const task = row.tasks?.length === 1 ? row.tasks[0] : undefined;
  const begun: FolderAttempt = {
    ...(task === undefined ? {} : { task }),
    attempt: (last?.attempt ?? 0) + 1,
    submission: proof.submission,
    nativeId: row.jobId,
    nodes: row.nodeNames,
    startedAtMs: row.startMs ?? row.submitMs,
  };
  return {
    ...settled,
    attempts: [
      ...settled.attempts.map((a) => closed(a, begun)),
      { ...begun, nodes: [...begun.nodes], ...outputOf(begun) },
    ],
  };
}

/** Another one runs, so this one is over. */
function closed(attempt: AttemptRecord, next: FolderAttempt): AttemptRecord {
  if (attempt.outcome !== undefined) return attempt;
  return {
    ...attempt,
    outcome: 'requeued',
    endedAtMs: Math.max(attempt.startedAtMs, Math.min(next.startedAtMs, attempt.endedAtMs ?? next.startedAtMs)),
  };
}

function settleKnown({ row, attempts, outputOf, causes }: Proof): Settled {
  const state = stateOf(row);
  const over = ENDING.has(state);
  const open = state === 'running' || state === 'suspended' || state === 'completing';
  const views = attempts.map((attempt, i): AttemptRecord => {
    const last = i === attempts.length - 1;
    // A later attempt, or a job that waits again, proves that an attempt is over.
    const running = last && open && !(state !== 'completing' && attempt.exit !== undefined);
    return viewAttempt(attempt, {
      row,
      outputOf,
      over: !running,
      final: last && over ? state : undefined,
      cause: causes?.get(attempt.attempt),
    });
  });
  const endedAtMs = over ? (row.endMs ?? views.at(-1)?.endedAtMs ?? row.submitMs) : undefined;
  // A limit in seconds is kept by the wrapper: Slurm sees a script that failed.
  const limited = state === 'failed' && views.at(-1)?.outcome === 'timed-out';
  return {
    state: limited ? 'timed-out' : state === 'completing' && wasPreempted(row, attempts.at(-1)) ? 'preempting' : state,
    attempts: views,
    ...(endedAtMs === undefined ? {} : { endedAtMs: Math.max(endedAtMs, views.at(-1)?.endedAtMs ?? 0) }),
  };
}

interface View {
  readonly row: QueueRow;
  readonly outputOf: Proof['outputOf'];
  readonly over: boolean;
  /** Of the last attempt of a job that has ended: as what. */
  readonly final: RecordState | undefined;
  readonly cause: AttemptRecord['outcome'];
}

export function viewAttempt(attempt: FolderAttempt, view: View): AttemptRecord {
  const { exit } = attempt;
  const outcome = view.over ? outcomeOf(attempt, view) : undefined;
  const endedAtMs = exit?.atMs ?? (view.final === undefined ? undefined : view.row.endMs);
  // A shell tells death by signal N as 128 + N.
  const signal = exit !== undefined && exit.code > 128 && exit.code < 193 ? signalName(exit.code - 128) : undefined;
  return {
    ...(attempt.task === undefined ? {} : { task: attempt.task }),
    attempt: attempt.attempt,
    submission: attempt.submission,
    nativeId: attempt.nativeId,
    startedAtMs: attempt.startedAtMs,
    ...(view.over
      ? { endedAtMs: Math.max(attempt.startedAtMs, endedAtMs ?? view.row.preemptMs ?? attempt.startedAtMs) }
      : {}),
    nodes: [...attempt.nodes],
    ...(outcome === undefined ? {} : { outcome }),
    ...(exit === undefined || signal !== undefined || outcome === 'not-started' ? {} : { exitCode: exit.code }),
    ...(signal === undefined ? {} : { signal }),
    ...view.outputOf(attempt),
  };
}

function outcomeOf(attempt: FolderAttempt, view: View): NonNullable<AttemptRecord['outcome']> {
  const { exit } = attempt;
  if (exit?.how === 'unattached') return 'not-started';
  if (exit?.how === 'time-limit') return 'timed-out';
  // A script that is told to go may tidy up and end by itself, with 0 too: Slurm puts it back or cancels it all the same.
  if (wasPreempted(view.row, attempt) && view.final !== 'completed') return 'preempted';
  if (exit?.how === 'ended') return exit.code === 0 ? 'completed' : 'failed';
  if (view.cause !== undefined) return view.cause;
  switch (view.final) {
    case 'completed':
      return 'completed';
    case 'failed':
      return 'failed';
    case 'timed-out':
      return 'timed-out';
    case 'cancelled':
      return 'cancelled';
    case 'node-failed':
      return 'node-failed';
    default:
      return 'requeued';
  }
}

/** Slurm counts whole seconds. */
function wasPreempted(row: QueueRow, attempt: FolderAttempt | undefined): boolean {
  if (row.state === 'PREEMPTED') return true;
  return row.preemptMs !== undefined && attempt !== undefined && row.preemptMs >= attempt.startedAtMs - 1000;
}

const SIGNALS = [
  '',
  'HUP',
  'INT',
  'QUIT',
  'ILL',
  'TRAP',
  'ABRT',
  'BUS',
  'FPE',
  'KILL',
  'USR1',
  'SEGV',
  'USR2',
  'PIPE',
  'ALRM',
  'TERM',
];

function signalName(number: number): string {
  const name = SIGNALS[number];
  return name === undefined || name === '' ? `SIG${number}` : `SIG${name}`;
}

/** The state of a whole array, and how many of its tasks are where. */
export function settleArray(
  total: number,
  rows: readonly QueueRow[],
  ended: Readonly<Record<string, 'completed' | 'failed' | 'cancelled'>>,
): { readonly state: RecordState; readonly tasks: NonNullable<JobRecord['tasks']> } {
  let [waiting, running, held] = [0, 0, 0];
  for (const row of rows) {
    const state = stateOf(row);
    const size = row.tasks?.length ?? 1;
    if (state === 'running' || state === 'completing' || state === 'suspended') running += size;
    else if (!ENDING.has(state)) {
      waiting += size;
      if (state === 'held') held += size;
    }
  }
  const words = Object.values(ended);
  const tasks = {
    total,
    waiting,
    running,
    completed: words.filter((w) => w === 'completed').length,
    failed: words.filter((w) => w !== 'completed').length,
  };
  const all = tasks.completed + tasks.failed >= total;
  if (all) {
    const cancelled = words.some((w) => w === 'cancelled');
    return { state: words.includes('failed') ? 'failed' : cancelled ? 'cancelled' : 'completed', tasks };
  }
  if (running > 0) return { state: 'running', tasks };
  return { state: held > 0 && held === waiting ? 'held' : 'queued', tasks };
}
