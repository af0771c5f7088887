/** scontrol show reservation: which nodes are promised, to whom, until when. */
import type { ReservationFact } from '../contract/index.ts';
import { failureOf } from './failure-of.ts';
import { countOf, hostsOf, pairsOf, timeOf } from './read-values.ts';
import type { RunSlurm } from './run-command.ts';

export async function scontrolShowReservation(run: RunSlurm): Promise<readonly ReservationFact[]> {
  const ran = await run('scontrol', ['show', 'reservation', '-o']);
  const failure = failureOf(ran, 'the reservations could not be read');
  if (failure !== undefined) throw failure;
  return parseReservations(ran.stdout);
}

export function parseReservations(text: string): readonly ReservationFact[] {
  return text.split('\n').flatMap((line) => {
    const pairs = pairsOf(line);
    const name = pairs['ReservationName'];
    const [startMs, endMs] = [timeOf(pairs['StartTime']), timeOf(pairs['EndTime'])];
    if (name === undefined || startMs === undefined || endMs === undefined) return [];
    const list = (key: string): string[] => {
      const value = pairs[key];
      return value === undefined || value === '(null)' ? [] : value.split(',');
    };
    return [
      {
        name,
        startMs,
        endMs,
        nodes: [...hostsOf(pairs['Nodes'])],
        nodeCount: countOf(pairs['NodeCnt']) ?? 0,
        flags: list('Flags'),
        accounts: list('Accounts'),
        users: list('Users'),
        partition:
          pairs['PartitionName'] === undefined || pairs['PartitionName'] === '(null)' ? '' : pairs['PartitionName'],
      },
    ];
  });
}
