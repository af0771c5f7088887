/**
 * The signer: on a unix socket, one line {"user"} in, one line with a token of at most 60 s out. Does one thing. What it refuses it decides by itself: its own list of users, the
 * Unix user database, a rate. Node cannot ask a socket who is at its other end, so the socket's mode and folder are what keeps others out. RFD 4.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../../clock.ts';
import { mintJwt } from './mint-jwt.ts';
import { UNIX_NAME, type UnixDatabase } from './unix-database.ts';

export interface SignerOptions {
  readonly socket: string;
  readonly key: Buffer;
  /** Nobody else gets a token. */
  readonly users: readonly string[];
  readonly lifetimeSeconds: number;
  readonly perMinute: number;
  readonly unix: UnixDatabase;
  readonly clock: Clock;
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
}

/** Longest request, in characters. */
const LINE_CHARACTERS = 4096;
const SLOW_MS = 2000;
const MOST_CONNECTIONS = 64;
const MINUTE_MS = 60_000;
/** The longest that a token may live. */
export const LONGEST_SECONDS = 60;

export async function openSigner(options: SignerOptions): Promise<{ close(): Promise<void> }> {
  const spent = { sinceMs: options.clock.monotonic(), all: 0, minted: 0 };
  const server = createServer((socket) => serve(options, spent, socket));
  server.maxConnections = MOST_CONNECTIONS;
  rmSync(options.socket, { force: true });
  const before = process.umask(0o117);
  try {
    await listen(server, options.socket);
  } finally {
    process.umask(before);
  }
  chmodSync(options.socket, 0o660);
  return {
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

interface Spent {
  sinceMs: number;
  all: number;
  minted: number;
}

function serve(options: SignerOptions, spent: Spent, socket: Socket): void {
  let text = '';
  const cancel = options.clock.after(SLOW_MS, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('close', cancel);
  socket.setEncoding('utf8');
  socket.on('data', (part: string) => {
    text += part;
    if (text.length > LINE_CHARACTERS) return void socket.destroy();
    const end = text.indexOf('\n');
    if (end < 0) return;
    socket.removeAllListeners('data');
    void answer(options, spent, text.slice(0, end)).then((line) => socket.end(`${JSON.stringify(line)}\n`));
  });
}

async function answer(options: SignerOptions, spent: Spent, line: string): Promise<object> {
  const { clock, log } = options;
  const user = userIn(line);
  const no = (kind: 'refused' | 'unavailable', why: string): object => {
    log.warn({ user: user?.slice(0, 64), why }, 'a token was refused');
    return { [kind]: why };
  };
  const refuse = (why: string): object => no('refused', why);
  if (clock.monotonic() - spent.sinceMs > MINUTE_MS) Object.assign(spent, { sinceMs: clock.monotonic(), all: 0 });
  spent.all += 1;
  if (spent.all > options.perMinute) return no('unavailable', 'too many tokens in a minute');
  if (user === undefined || !UNIX_NAME.test(user)) return refuse('that names no user');
  if (user === 'root' || user === 'slurm' || !options.users.includes(user))
    return refuse('this user is not on the list');
  try {
    const known = await options.unix.user(user);
    if (known === undefined || known.uid < 1000) return refuse('no such user, or one of the system');
  } catch {
    return no('unavailable', 'the Unix user database does not answer');
  }
  spent.minted += 1;
  const minted = mintJwt(options.key, {
    user,
    nowMs: clock.now(),
    lifetimeSeconds: Math.min(LONGEST_SECONDS, options.lifetimeSeconds),
  });
  log.info({ user, number: spent.minted, expiresAt: new Date(minted.expiresAtMs).toISOString() }, 'a token was minted');
  return minted;
}

function userIn(line: string): string | undefined {
  try {
    const asked: unknown = JSON.parse(line);
    if (typeof asked !== 'object' || asked === null) return undefined;
    const { user } = asked as { readonly user?: unknown };
    return typeof user === 'string' ? user : undefined;
  } catch {
    return undefined;
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => resolve());
  });
}
