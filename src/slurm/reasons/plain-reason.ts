/**
 * Why a job waits or how it ended, in plain words, from Slurm's own word for it. A word that is not here is shown as it is: better than none. Names are those of
 * slurm's table of reasons: src/common/slurm_protocol_defs.c of 22.05.8, src/common/job_state_reason.c of 26.11.
 */
import type { QueueRow } from '../batch-order.ts';
import type { ReservationFact } from '../contract/index.ts';
import { limitIn, limitText } from './limit-name.ts';

export interface ReasonFacts {
  readonly reservations: readonly Pick<ReservationFact, 'name' | 'startMs' | 'endMs' | 'flags'>[];
  readonly nowMs: number;
}

const WAITS: Readonly<Record<string, string>> = {
  Priority: 'jobs of higher priority are before it',
  Resources: 'it is the next; nodes are busy',
  Dependency: 'for a job that it depends on',
  DependencyNeverSatisfied: 'for a job that will never end as it demands; cancel it',
  JobHeldUser: 'held by its user; release it',
  JobHeldAdmin: 'held by an administrator',
  BeginTime: 'for its start time; a job that was put back waits a moment first',
  Licenses: 'for a licence',
  PartitionDown: 'its partition is down',
  PartitionInactive: 'its partition takes no jobs now',
  PartitionConfig: 'its partition cannot give what it asks for',
  NodeDown: 'a node that it needs is down',
  BadConstraints: 'no node has the features it asks for',
  Reservation: 'its reservation has not begun',
  ReservationDeleted: 'its reservation was deleted; it is held',
  InvalidQOS: 'its QoS may not be used any more; move it to another tier',
  InvalidAccount: 'its account may not be used any more',
  QOSNotAllowed: 'its partition does not take its QoS',
  AccountNotAllowed: 'its partition does not take its account',
  Prolog: 'nodes are being prepared',
  Cleaning: 'what an earlier run left is being tidied',
  'launch failed requeued held': 'Slurm could not start it on its node, and holds it; release it',
  LaunchFailedRequeuedHeld: 'Slurm could not start it on its node, and holds it; release it',
  JobHoldMaxRequeue: 'held: it was put back too often',
  JobArrayTaskLimit: 'as many tasks of its array run as it allows',
  DeadLine: 'it cannot end before its deadline',
  BurstBufferResources: 'for burst buffer space',
  BurstBufferStageIn: 'its data is being staged in',
  ReqNodeNotAvail: 'a node that it needs is not available',
  NodeNotAvail: 'nodes are not available',
  FrontEndDown: 'a front end is down',
  Nodes_required_for_job_are_DOWN: 'nodes that it needs are down',
  SchedDefer: 'the scheduler has put it off',
  MaxRequeue: 'it was put back too often',
  ReservationInvalid: 'its reservation may not be used by it',
  Constraints: 'no node has the features it asks for',
  BurstBufferOperation: 'what it asks of the burst buffer failed',
  FedJobLock: 'another cluster of the federation is deciding on it',
  MaxPoweredUpNodes: 'as many nodes as may be are powered up',
  MpiPortsBusy: 'the ports for MPI are taken on its nodes',
  NvidiaImexChannels: 'for an IMEX channel of its GPUs',
  PowerNotAvail: 'there is not power enough now',
  PowerReserved: 'power is reserved for another job',
  BlockMaxError: 'its nodes failed too often',
  BlockFreeAction: 'its nodes are being freed',
};

const ENDS: Readonly<Record<string, string>> = {
  NonZeroExitCode: 'its script ended with a code other than 0',
  JobLaunchFailure: 'Slurm could not start it on its node',
  OutOfMemory: 'it used more memory than it asked for',
  TimeLimit: 'it reached its time limit',
  RaisedSignal: 'it was ended by a signal',
  InactiveLimit: 'it was idle for too long',
  SystemFailure: 'Slurm failed on its node',
  NodeFail: 'its node failed',
  Preempted: 'it made room for a job of a higher tier',
};

export function plainReason(row: QueueRow, facts: ReasonFacts): string {
  // "Resources,BeginTime" of an array; "Nodes required…" in words already.
  const code = row.reasonCode.split(',')[0]?.trim() ?? '';
  switch (row.state) {
    case 'PENDING':
    case 'REQUEUED':
    case 'REQUEUE_HOLD':
    case 'SPECIAL_EXIT':
    case 'RESV_DEL_HOLD':
      return waiting(row, code, facts);
    case 'CONFIGURING':
      return 'its nodes are being prepared';
    case 'COMPLETING':
      return 'its processes are being ended';
    case 'PREEMPTED':
      return 'it made room for a job of a higher tier';
    case 'DEADLINE':
      return 'it could not end before its deadline';
    case 'TIMEOUT':
      return 'it reached its time limit';
    case 'NODE_FAIL':
      return 'its node failed';
    case 'OUT_OF_MEMORY':
      return 'it used more memory than it asked for';
    case 'RUNNING':
    case 'SUSPENDED':
    case 'COMPLETED':
    case 'CANCELLED':
      return '';
    default:
      return code === '' ? '' : (wordsIn(ENDS, code) ?? wordsIn(WAITS, code) ?? row.reasonCode);
  }
}

function waiting(row: QueueRow, code: string, facts: ReasonFacts): string {
  if (code === '' || code === 'None') return row.restarts > 0 ? 'waiting: to be started again' : 'waiting its turn';
  if (/reserved for maintenance/i.test(row.reasonCode)) return `waiting: reserved for maintenance${until(facts)}`;
  if (/may be reserved for other job/i.test(row.reasonCode))
    return 'waiting: the nodes may be reserved for another job';
  const limit = code === 'JobArrayTaskLimit' ? undefined : limitIn(code);
  if (limit !== undefined) return `waiting: ${limitText(limit)} (${limit})`;
  const at = row.startMs !== undefined && row.startMs > facts.nowMs ? `; expected at ${clockText(row.startMs)}` : '';
  const plain = wordsIn(WAITS, code);
  if (code === 'BeginTime' && row.startMs !== undefined)
    return `waiting: until ${clockText(row.startMs)}${row.restarts > 0 ? ', as Slurm starts no job again at once' : ''}`;
  if (plain !== undefined) return `waiting: ${plain}${code === 'Priority' || code === 'Resources' ? at : ''}`;
  // What ended the run before, of a job that was put back.
  const before = wordsIn(ENDS, code);
  if (before !== undefined) return `waiting: the run before ended: ${before}`;
  return `waiting: ${row.reasonCode.replace(/^\(|\)$/g, '')}`;
}

/** Slurm's text may be anything, `constructor` too. */
const wordsIn = (table: Readonly<Record<string, string>>, code: string): string | undefined =>
  Object.hasOwn(table, code) ? table[code] : undefined;

/** The reservation that is nearest, on now or next. */
function until({ reservations, nowMs }: ReasonFacts): string {
  const maintenance = reservations
    .filter((r) => r.flags.some((f) => /^MAINT/.test(f)) && r.endMs > nowMs)
    .sort((a, b) => a.startMs - b.startMs)[0];
  if (maintenance === undefined) return '';
  return maintenance.startMs > nowMs
    ? ` from ${clockText(maintenance.startMs)} to ${clockText(maintenance.endMs)}`
    : ` until ${clockText(maintenance.endMs)}`;
}

const clockText = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
