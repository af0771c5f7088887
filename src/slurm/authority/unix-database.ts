/**
 * The Unix user database as `getent` tells it (files, LDAP, sssd alike), one argv for each question and answers kept for some seconds. Owns that bounded memory.
 * An answer for another name than the asked one is none: name services fold case and know aliases.
 */
import { execFile } from 'node:child_process';
import type { Clock } from '../../clock.ts';
import { SlurmFailure } from '../contract/index.ts';

export interface UnixUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface UnixGroup {
  readonly name: string;
  readonly gid: number;
  /** Those whom the group names; whose primary group it is, is not among them. */
  readonly members: readonly string[];
}

/** Undefined: there is none. SlurmFailure `unavailable`: it could not be asked. */
export interface UnixDatabase {
  user(name: string): Promise<UnixUser | undefined>;
  userOf(uid: number): Promise<UnixUser | undefined>;
  group(name: string): Promise<UnixGroup | undefined>;
  groupOf(gid: number): Promise<UnixGroup | undefined>;
  /** Everybody whose primary group it is, as far as the name service lists its users (sssd does so only with `enumerate`). */
  primaryMembers(gid: number): Promise<readonly string[]>;
}

export const UNIX_NAME = /^[a-z_][a-z0-9_-]{0,31}$/;
/** -1 as an unsigned number, which means "leave it" to chown. */
const LARGEST_ID = 4_294_967_294;
const KEEP_MS = 10_000;
const MOST_KEPT = 4096;
const ANSWER_BYTES = 32 * 1024 * 1024;

export interface DatabaseOptions {
  readonly clock: Clock;
  readonly getent?: string;
  readonly timeoutMs?: number;
}

export function openUnixDatabase({
  clock,
  getent = '/usr/bin/getent',
  timeoutMs = 5000,
}: DatabaseOptions): UnixDatabase {
  const kept = new Map<string, { readonly untilMs: number; readonly lines: Promise<readonly string[]> }>();
  const ask = (table: 'passwd' | 'group', key?: string): Promise<readonly string[]> => {
    const id = `${table}:${key ?? ''}`;
    const known = kept.get(id);
    if (known !== undefined && known.untilMs > clock.monotonic()) return known.lines;
    const lines = run(getent, key === undefined ? [table] : [table, key], timeoutMs);
    if (kept.size >= MOST_KEPT) kept.clear();
    kept.set(id, { untilMs: clock.monotonic() + KEEP_MS, lines });
    // What could not be asked is asked again.
    lines.catch(() => kept.delete(id));
    return lines;
  };
  const named = (name: string): boolean => UNIX_NAME.test(name);
  return {
    async user(name) {
      if (!named(name)) return undefined;
      return (await ask('passwd', name)).flatMap(parseUser).find((u) => u.name === name);
    },
    async userOf(uid) {
      return (await ask('passwd', String(uid))).flatMap(parseUser).find((u) => u.uid === uid);
    },
    async group(name) {
      if (!named(name)) return undefined;
      return (await ask('group', name)).flatMap(parseGroup).find((g) => g.name === name);
    },
    async groupOf(gid) {
      return (await ask('group', String(gid))).flatMap(parseGroup).find((g) => g.gid === gid);
    },
    async primaryMembers(gid) {
      return (await ask('passwd')).flatMap(parseUser).flatMap((u) => (u.gid === gid ? [u.name] : []));
    },
  };
}

/** A line of passwd(5); none where it is malformed. */
export function parseUser(line: string): readonly UnixUser[] {
  const fields = line.split(':');
  const [name = '', , uid, gid] = fields;
  const [u, g] = [idOf(uid), idOf(gid)];
  return fields.length !== 7 || name === '' || u === undefined || g === undefined ? [] : [{ name, uid: u, gid: g }];
}

/** A line of group(5); none where it is malformed. */
export function parseGroup(line: string): readonly UnixGroup[] {
  const fields = line.split(':');
  const [name = '', , gid, members = ''] = fields;
  const g = idOf(gid);
  if (fields.length !== 4 || name === '' || g === undefined) return [];
  return [{ name, gid: g, members: members.split(',').filter((m) => m !== '') }];
}

function idOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= LARGEST_ID ? id : undefined;
}

function run(getent: string, argv: readonly string[], timeoutMs: number): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const env = { PATH: '/usr/bin:/bin', LC_ALL: 'C' };
    const child = execFile(
      getent,
      argv,
      { env, timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: ANSWER_BYTES, encoding: 'utf8' },
      (error, stdout) => {
        // 2: no such entry.
        if (error === null || error.code === 2) resolve(stdout.split('\n'));
        else
          reject(
            new SlurmFailure(
              { kind: 'unavailable', message: 'the Unix user database does not answer' },
              { cause: error },
            ),
          );
      },
    );
    child.stdin?.end();
  });
}
