/** Reads `scontrol -o show reservation`, times in seconds (SLURM_TIME_FORMAT=%s). Any bytes: what is no reservation gives none, never another error than SlurmFailure. */
import type { ReservationFact } from '../contract/index.ts';

/** What Slurm can list; a longer list than any cluster has nodes is cut. */
const MOST_NODES = 100_000;

const listOf = (text: string | undefined): string[] =>
  text === undefined || text === '' || text === '(null)' ? [] : text.split(',').filter((w) => w !== '');

export function parseReservations(text: string): ReservationFact[] {
  return text.split('\n').flatMap((line) => {
    const fields = new Map<string, string>();
    for (const word of line.trim().split(/\s+/)) {
      const at = word.indexOf('=');
      if (at > 0 && !fields.has(word.slice(0, at))) fields.set(word.slice(0, at), word.slice(at + 1));
    }
    const name = fields.get('ReservationName');
    const [start, end] = [Number(fields.get('StartTime')), Number(fields.get('EndTime'))];
    if (name === undefined || !Number.isSafeInteger(start) || !Number.isSafeInteger(end)) return [];
    const count = Number(fields.get('NodeCnt'));
    const partition = fields.get('PartitionName') ?? '';
    return [
      {
        name,
        startMs: start * 1000,
        endMs: end * 1000,
        nodes: expandNodes(fields.get('Nodes') ?? ''),
        nodeCount: Number.isSafeInteger(count) ? count : 0,
        // A flag may carry a value, such as PURGE_COMP=00:05:00.
        flags: listOf(fields.get('Flags')).map((f) => f.split('=')[0] ?? f),
        accounts: listOf(fields.get('Accounts')),
        users: listOf(fields.get('Users')),
        partition: partition === '(null)' ? '' : partition,
      },
    ];
  });
}

/** n[1-2,07],login1 to its names, in order; several brackets in one name too. */
export function expandNodes(text: string): string[] {
  if (text === '' || text === '(null)') return [];
  const names: string[] = [];
  for (const [part] of text.matchAll(/(?:[^,[\]]|\[[^\]]*\])+/g)) {
    names.push(...expandOne(part, MOST_NODES - names.length));
    if (names.length >= MOST_NODES) break;
  }
  return names;
}

function expandOne(part: string, most: number): string[] {
  const found = /^([^[\]]*)\[([^\]]*)\]/.exec(part);
  if (found === null) return [part];
  const [whole, head = '', ranges = ''] = found;
  const rest = part.slice(whole.length);
  const tails = rest === '' ? [''] : expandOne(rest, most);
  const names: string[] = [];
  for (const range of ranges.split(',')) {
    const [, first = range, last = first] = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(range) ?? [];
    const [from, to] = [Number(first), Number(last)];
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to)) {
      names.push(`${head}${range}`);
      continue;
    }
    for (let i = from; i <= to; i++)
      for (const tail of tails) {
        if (names.length >= most) return names;
        names.push(`${head}${String(i).padStart(first.length, '0')}${tail}`);
      }
  }
  return names;
}
