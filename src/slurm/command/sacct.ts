/** sacct: what the accounting database says, one row for each run of a job. Its divider is one we draw, as names and comments hold what users like. */
import { randomBytes } from 'node:crypto';
import type { AccountingRow, HistoryQuery } from '../batch-order.ts';
import { failureOf } from './failure-of.ts';
import { countOf, timeOf } from './read-values.ts';
import type { RunSlurm } from './run-command.ts';

const FIELDS = [
  'JobID',
  'User',
  'Account',
  'QOS',
  'Partition',
  'State',
  'ExitCode',
  'Submit',
  'Start',
  'End',
  'NNodes',
  'AllocCPUS',
  'Reason',
  'Comment',
  'JobName',
] as const;

export async function sacct(run: RunSlurm, query: HistoryQuery): Promise<readonly AccountingRow[]> {
  const divider = `|${randomBytes(12).toString('hex')}|`;
  const at = (ms: number): string => new Date(ms).toISOString().slice(0, 19);
  const ran = await run('sacct', [
    '--duplicates',
    '--allocations',
    '--noheader',
    '--parsable',
    `--delimiter=${divider}`,
    `--starttime=${at(query.sinceMs)}`,
    `--endtime=${at(query.untilMs)}`,
    `--format=${FIELDS.join(',')}`,
    ...(query.account === undefined ? [] : [`--accounts=${query.account}`]),
    ...(query.jobIds === undefined ? ['--allusers'] : [`--jobs=${query.jobIds.join(',')}`]),
  ]);
  const failure = failureOf(ran, 'the accounting database could not be read');
  if (failure !== undefined) throw failure;
  return parseAccounting(ran.stdout, divider);
}

export function parseAccounting(text: string, divider: string): readonly AccountingRow[] {
  const cells = text.split(divider);
  const rows: AccountingRow[] = [];
  for (let i = 0; i + FIELDS.length <= cells.length; i += FIELDS.length) {
    const cell = (name: (typeof FIELDS)[number]): string => cells[i + FIELDS.indexOf(name)] ?? '';
    const nativeId = cell('JobID').trim();
    const submittedAtMs = timeOf(cell('Submit'));
    if (!/^\d/.test(nativeId) || submittedAtMs === undefined) continue;
    const [code, signal] = cell('ExitCode').split(':').map(countOf);
    const [startedAtMs, endedAtMs] = [timeOf(cell('Start')), timeOf(cell('End'))];
    // CANCELLED by 1001
    const state = cell('State').split(' ')[0] ?? '';
    const ended = !/^(PENDING|RUNNING|SUSPENDED|REQUEUED|RESIZING)$/.test(state);
    rows.push({
      nativeId,
      name: cell('JobName'),
      user: cell('User'),
      account: cell('Account'),
      tier: cell('QOS'),
      partition: cell('Partition'),
      state,
      ...(code === undefined || !ended ? {} : { exitCode: code }),
      ...(signal === undefined || signal === 0 ? {} : { signal }),
      submittedAtMs,
      ...(startedAtMs === undefined ? {} : { startedAtMs }),
      ...(endedAtMs === undefined ? {} : { endedAtMs }),
      nodes: countOf(cell('NNodes')) ?? 0,
      slots: countOf(cell('AllocCPUS')) ?? 0,
      reasonCode: cell('Reason') === 'None' ? '' : cell('Reason'),
      comment: cell('Comment'),
    });
  }
  return rows;
}
