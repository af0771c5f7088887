/** scontrol show partition: where jobs may go, and for how long. */
import type { PartitionFact } from '../contract/index.ts';
import { failureOf } from './failure-of.ts';
import { countOf, pairsOf, secondsOf } from './read-values.ts';
import type { RunSlurm } from './run-command.ts';

export async function scontrolShowPartition(run: RunSlurm): Promise<readonly PartitionFact[]> {
  const ran = await run('scontrol', ['show', 'partition', '-o']);
  const failure = failureOf(ran, 'the partitions could not be read');
  if (failure !== undefined) throw failure;
  return parsePartitions(ran.stdout);
}

const STATES: Readonly<Record<string, PartitionFact['state']>> = { UP: 'up', DOWN: 'down', DRAIN: 'drain' };

export function parsePartitions(text: string): readonly PartitionFact[] {
  return text.split('\n').flatMap((line) => {
    const pairs = pairsOf(line);
    const name = pairs['PartitionName'];
    if (name === undefined) return [];
    const [most, usual] = [secondsOf(pairs['MaxTime']), secondsOf(pairs['DefaultTime'])];
    return [
      {
        name,
        default: pairs['Default'] === 'YES',
        state: STATES[pairs['State'] ?? ''] ?? 'inactive',
        nodes: countOf(pairs['TotalNodes']) ?? 0,
        slots: countOf(pairs['TotalCPUs']) ?? 0,
        ...(most === undefined ? {} : { maxTimeSeconds: most }),
        ...(usual === undefined ? {} : { defaultTimeSeconds: usual }),
      },
    ];
  });
}
