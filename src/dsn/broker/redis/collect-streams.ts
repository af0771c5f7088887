/**
 * Looks at a stream's Redis: how much is in it, what came and went; and removes from each of its streams what every consumer group has acknowledged, so that the buffer holds what is
 * still to be done. A stream that nobody reads by a group is left alone.
 */
import type { RedisAdmin } from './redis-server.ts';

export interface RedisSight {
  readonly messagesIn: number;
  /** Read by consumer groups. */
  readonly messagesOut: number;
  readonly buffered: number;
  readonly bufferedBytes: number;
  /** Put in and refused, because the buffer was full. */
  readonly refusedFull: number;
}

/** More stream keys than that are counted, not tidied: a stream of ours has a few. */
const MOST_KEYS = 64;

export async function collectStreams(admin: RedisAdmin): Promise<RedisSight> {
  const info = String(await admin.ask('INFO', 'memory', 'commandstats', 'errorstats'));
  let [buffered, messagesOut] = [0, 0];
  for (const key of await streamKeys(admin)) {
    const groups = await groupsOf(admin, key);
    const keepFrom = await neededFrom(admin, key, groups);
    if (keepFrom !== undefined) await admin.ask('XTRIM', key, 'MINID', keepFrom);
    buffered += Number(await admin.ask('XLEN', key));
    messagesOut += groups.reduce((sum, g) => sum + g.read, 0);
  }
  const put = ['xadd', 'publish', 'spublish'].reduce((sum, name) => sum + callsOf(info, name), 0);
  return {
    messagesIn: put,
    messagesOut,
    buffered,
    // An empty Redis uses some memory for itself.
    bufferedBytes: buffered === 0 ? 0 : numberIn(info, /^used_memory_dataset:(\d+)/m),
    refusedFull: numberIn(info, /^errorstat_OOM:count=(\d+)/m),
  };
}

interface Group {
  readonly name: string;
  readonly pending: number;
  readonly delivered: string;
  readonly read: number;
}

async function streamKeys(admin: RedisAdmin): Promise<string[]> {
  const keys = new Set<string>();
  for (let cursor = '0'; ; ) {
    const [next, found] = (await admin.ask('SCAN', cursor, 'TYPE', 'stream', 'COUNT', '100')) as [string, string[]];
    for (const key of found) keys.add(key);
    cursor = next;
    if (cursor === '0' || keys.size >= MOST_KEYS) return [...keys].slice(0, MOST_KEYS);
  }
}

async function groupsOf(admin: RedisAdmin, key: string): Promise<Group[]> {
  const rows = (await admin.ask('XINFO', 'GROUPS', key)) as unknown[][];
  return rows.map((row) => {
    const field = (name: string): unknown => row[row.indexOf(name) + 1];
    return {
      name: String(field('name')),
      pending: Number(field('pending')),
      delivered: String(field('last-delivered-id')),
      read: Number(field('entries-read') ?? 0),
    };
  });
}

/** The first id that some group has still to acknowledge or to read; undefined where there is no group. */
async function neededFrom(admin: RedisAdmin, key: string, groups: readonly Group[]): Promise<string | undefined> {
  let least: readonly [bigint, bigint] | undefined;
  for (const group of groups) {
    const needed =
      group.pending > 0
        ? idOf(String(((await admin.ask('XPENDING', key, group.name)) as unknown[])[1]))
        : after(idOf(group.delivered));
    if (least === undefined || needed[0] < least[0] || (needed[0] === least[0] && needed[1] < least[1])) least = needed;
  }
  return least === undefined ? undefined : `${least[0]}-${least[1]}`;
}

function idOf(text: string): readonly [bigint, bigint] {
  const [ms = '0', sequence = '0'] = text.split('-');
  return /^\d+$/.test(ms) && /^\d+$/.test(sequence) ? [BigInt(ms), BigInt(sequence)] : [0n, 0n];
}

const after = ([ms, sequence]: readonly [bigint, bigint]): readonly [bigint, bigint] => [ms, sequence + 1n];

/** Done ones: those that failed put nothing in. */
function callsOf(info: string, name: string): number {
  const match = new RegExp(`^cmdstat_${name}:calls=(\\d+),.*failed_calls=(\\d+)`, 'm').exec(info);
  return match === null ? 0 : Number(match[1]) - Number(match[2]);
}

function numberIn(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1] ?? 0);
}
