/** scontrol show node: what nodes there are and how busy. */
import type { NodeFact } from '../contract/index.ts';
import { failureOf } from './failure-of.ts';
import { countOf, pairsOf } from './read-values.ts';
import type { RunSlurm } from './run-command.ts';

export async function scontrolShowNode(run: RunSlurm): Promise<readonly NodeFact[]> {
  const ran = await run('scontrol', ['show', 'node', '-o']);
  const failure = failureOf(ran, 'the nodes could not be read');
  if (failure !== undefined) throw failure;
  return parseNodes(ran.stdout);
}

export function parseNodes(text: string): readonly NodeFact[] {
  return text.split('\n').flatMap((line) => {
    const pairs = pairsOf(line);
    const name = pairs['NodeName'];
    if (name === undefined) return [];
    const slots = countOf(pairs['CPUTot']) ?? 0;
    const nativeState = pairs['State'] ?? '';
    const state = nodeState(nativeState);
    return [
      {
        name,
        slots,
        free: state === 'up' ? Math.max(0, slots - (countOf(pairs['CPUAlloc']) ?? 0)) : 0,
        memoryMiB: countOf(pairs['RealMemory']) ?? 0,
        gres: pairs['Gres'] === undefined || pairs['Gres'] === '(null)' ? '' : pairs['Gres'],
        partitions: (pairs['Partitions'] ?? '').split(',').filter((p) => p !== ''),
        state,
        nativeState,
        reason: pairs['Reason'] ?? '',
      },
    ];
  });
}

export function nodeState(native: string): NodeFact['state'] {
  if (/DOWN|FAIL|NOT_RESPONDING|UNKNOWN|POWERED_DOWN|\*/.test(native)) return 'down';
  if (/DRAIN|MAINT|REBOOT|BLOCKED|FUTURE|PLANNED_DOWN/.test(native)) return 'draining';
  return 'up';
}
