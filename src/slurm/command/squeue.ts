/**
 * squeue: the whole queue in one call. Users choose names and comments freely, newlines included, so fields are divided by a word drawn anew for each call, given by the environment
 * as argv is open to all of the host: nobody can write a row into another's.
 */
import { randomBytes } from 'node:crypto';
import type { QueueRow } from '../batch-order.ts';
import { failureOf } from './failure-of.ts';
import { countOf, hostsOf, secondsOf, tasksOf, timeOf, waitStatusOf } from './read-values.ts';
import type { RunSlurm } from './run-command.ts';

const FIELDS = [
  'ArrayJobID',
  'JobID',
  'ArrayTaskID',
  'UserName',
  'Account',
  'QOS',
  'Partition',
  'State',
  'Reason',
  'PriorityLong',
  'RestartCnt',
  'Requeue',
  'NumNodes',
  'NodeList',
  'TimeLimit',
  'SubmitTime',
  'EligibleTime',
  'StartTime',
  'EndTime',
  'PreemptTime',
  'exit_code',
  'Comment',
  'Name',
] as const;

/** All jobs that slurmctld remembers, or those of one number. Undefined: it knows no such number. */
export async function squeue(run: RunSlurm, jobId?: string): Promise<readonly QueueRow[] | undefined> {
  const divider = `|${randomBytes(12).toString('hex')}|`;
  const format = FIELDS.map((field) => `${field}:${divider}`).join(',');
  const ran = await run('squeue', ['-a', '-h', '-t', 'all', ...(jobId === undefined ? [] : ['-j', jobId])], {
    env: { SQUEUE_FORMAT2: format },
  });
  const failure = failureOf(ran, 'the queue could not be read');
  if (failure?.kind === 'not-found') return undefined;
  if (failure !== undefined) throw failure;
  return parseQueue(ran.stdout, divider);
}

export function parseQueue(text: string, divider: string): readonly QueueRow[] {
  const cells = text.split(divider);
  const rows: QueueRow[] = [];
  for (let i = 0; i + FIELDS.length <= cells.length; i += FIELDS.length) {
    const cell = (name: (typeof FIELDS)[number]): string => cells[i + FIELDS.indexOf(name)] ?? '';
    const row = readRow((name) => cell(name));
    if (row !== undefined) rows.push(row);
  }
  return rows;
}

function readRow(cell: (name: (typeof FIELDS)[number]) => string): QueueRow | undefined {
  const word = (name: (typeof FIELDS)[number]): string => {
    const value = cell(name).trim();
    return value === 'N/A' || value === '(null)' ? '' : value;
  };
  // The first cell of a row follows the line end of the row before.
  const arrayJob = word('ArrayJobID');
  const submitMs = timeOf(word('SubmitTime'));
  if (!/^\d{1,10}$/.test(arrayJob) || submitMs === undefined) return undefined;
  const tasks = tasksOf(word('ArrayTaskID'));
  const limit = secondsOf(word('TimeLimit'));
  const reason = word('Reason');
  const times = {
    eligibleMs: timeOf(word('EligibleTime')),
    startMs: timeOf(word('StartTime')),
    endMs: timeOf(word('EndTime')),
    preemptMs: timeOf(word('PreemptTime')),
  };
  return {
    jobId: arrayJob,
    ...(tasks === undefined ? {} : { tasks }),
    name: cell('Name'),
    user: word('UserName'),
    account: word('Account'),
    qos: word('QOS'),
    partition: word('Partition'),
    state: word('State').toUpperCase(),
    reasonCode: reason === 'None' ? '' : reason,
    comment: cell('Comment') === '(null)' ? '' : cell('Comment'),
    priority: countOf(word('PriorityLong')) ?? 0,
    restarts: countOf(word('RestartCnt')) ?? 0,
    requeue: word('Requeue') === '1',
    nodes: countOf(word('NumNodes')) ?? 1,
    nodeNames: hostsOf(word('NodeList')),
    ...(limit === undefined ? {} : { timeLimitMinutes: Math.ceil(limit / 60) }),
    submitMs,
    ...Object.fromEntries(Object.entries(times).filter(([, ms]) => ms !== undefined)),
    ...waitStatusOf(word('exit_code')),
  };
}
