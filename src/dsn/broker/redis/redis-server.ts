/**
 * One stream's redis-server: a process of its own, on a Unix socket in a folder of its own (0700) and on no network, in memory only. It outlives the agent's SIGKILL and is found
 * again by pid and start time. Owns the folder: configuration, secrets of the gateway (0600), record of the process, log.
 */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import { z } from 'zod';
import type { Clock } from '../../../clock.ts';
import { identityOf, isAlive, type ProcessIdentity, signalProcess } from '../../../process-identity.ts';
import { identitySchema, keep, readKept } from '../kept-file.ts';
import { type RedisRole, rightsOf } from './rights.ts';

const PROGRAMS = ['/usr/bin/redis-server', '/usr/bin/valkey-server', '/usr/local/bin/redis-server'];
const START_MS = 10_000;
const LOOK_MS = 5;
const STOP_MS = 3000;
const MIB = 1_048_576;
/** Of sun_path, without its last NUL: unix(7). */
const LONGEST_SOCKET_PATH = 107;
/** What an empty Redis uses, and what its clients need beside the data. */
const OVERHEAD_BYTES = 16 * MIB;

const secretsSchema = z.strictObject({ agent: z.string(), producer: z.string(), consumer: z.string() });

export interface RedisTerms {
  readonly bufferBytes: number;
  readonly maxMessageBytes: number;
  readonly maxConnections: number;
}

/** What of its configuration follows the size of the buffer, by name. */
export function sizesOf(terms: RedisTerms): Readonly<Record<'maxmemory' | 'client-output-buffer-limit', string>> {
  const maxBulk = Math.max(MIB, terms.maxMessageBytes);
  return {
    maxmemory: String(terms.bufferBytes + OVERHEAD_BYTES),
    'client-output-buffer-limit': `normal ${Math.max(terms.bufferBytes, 4 * maxBulk)} 0 0`,
  };
}

export interface RedisAdmin {
  /** One command; its answer as RESP2 gives it. Throws what Redis says, or that the connection is gone. */
  ask(...words: string[]): Promise<unknown>;
  readonly isOpen: boolean;
  close(): void;
}

export interface RedisServer {
  readonly socketPath: string;
  /** What a role's connection is logged in with, by the gateway. */
  password(role: RedisRole): string;
  /** Connects as the agent, who may do everything. Throws Error where it does not answer. */
  admin(): Promise<RedisAdmin>;
  isAlive(): boolean;
  pid(): number;
  /** Ends the process and removes the folder: the data are gone. */
  end(): Promise<void>;
}

/** Undefined where none is installed. */
export const redisProgram = (): string | undefined => PROGRAMS.find((path) => existsSync(path));

/** Adopts what runs there, or starts it. Throws Error with its log's last line where it does not come up. */
export async function startRedis(folder: string, terms: RedisTerms, clock: Clock): Promise<RedisServer> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const record = join(folder, 'process.json');
  const socketPath = join(folder, 'redis.sock');
  if (Buffer.byteLength(socketPath) > LONGEST_SOCKET_PATH)
    throw new Error(
      `${socketPath} is too long for a Unix socket (${LONGEST_SOCKET_PATH} octets): give the node a shorter state folder`,
    );
  const secrets = secretsOf(folder);
  let identity = readKept(record, identitySchema);
  if (identity === undefined || !isAlive(identity)) {
    identity = launch(folder, configuration(folder, terms, secrets));
    keep(record, identity);
  }
  const running = identity;
  const server: RedisServer = {
    socketPath,
    password: (role) => secrets[role],
    admin: () => connectAdmin(socketPath, secrets.agent),
    isAlive: () => isAlive(running),
    pid: () => running.pid,
    end: () => endRedis(folder, clock),
  };
  await answers(server, folder, clock);
  return server;
}

/** Ends whatever an earlier run left in the folder, and removes it. */
export async function endRedis(folder: string, clock: Clock): Promise<void> {
  const identity = readKept(join(folder, 'process.json'), identitySchema);
  if (identity !== undefined && signalProcess(identity, 'SIGTERM')) {
    const until = clock.monotonic() + STOP_MS;
    while (isAlive(identity)) {
      if (clock.monotonic() > until) signalProcess(identity, 'SIGKILL');
      await pause(clock, LOOK_MS);
    }
  }
  rmSync(folder, { recursive: true, force: true });
}

function configuration(folder: string, terms: RedisTerms, secrets: z.output<typeof secretsSchema>): string {
  const user = (name: string, password: string, rules: readonly string[]): string =>
    `user ${name} ${rules.join(' ')} #${createHash('sha256').update(password).digest('hex')}`;
  const path = (name: string): string => JSON.stringify(join(folder, name));
  const maxBulk = Math.max(MIB, terms.maxMessageBytes);
  const sizes = sizesOf(terms);
  return [
    'port 0',
    `unixsocket ${path('redis.sock')}`,
    'unixsocketperm 700',
    `dir ${path('')}`,
    'daemonize no',
    // What is put into another one would never be tidied.
    'databases 1',
    'save ""',
    'appendonly no',
    // A full buffer refuses what is put in, and says so; nothing that was taken is thrown away.
    `maxmemory ${sizes.maxmemory}`,
    'maxmemory-policy noeviction',
    `proto-max-bulk-len ${maxBulk}`,
    `client-query-buffer-limit ${Math.max(MIB, maxBulk + 64 * 1024)}`,
    // A reader that does not read is cut; what it did not acknowledge is still there.
    `client-output-buffer-limit ${sizes['client-output-buffer-limit']}`,
    `client-output-buffer-limit pubsub ${Math.max(32 * MIB, 4 * maxBulk)} ${8 * MIB} 60`,
    `maxclients ${terms.maxConnections + 16}`,
    'user default off',
    user('beamway', secrets.agent, ['reset', 'on', '~*', '&*', '+@all']),
    user('producer', secrets.producer, rightsOf('producer')),
    user('consumer', secrets.consumer, rightsOf('consumer')),
    '',
  ].join('\n');
}

/** The configuration comes by a pipe: a file would have to be kept in step. */
function launch(folder: string, text: string): ProcessIdentity {
  const program = redisProgram();
  if (program === undefined)
    throw new Error('no redis-server is installed on this node; Debian: apt install redis-server');
  rmSync(join(folder, 'redis.sock'), { force: true });
  const log = openSync(join(folder, 'redis.log'), 'a', 0o600);
  try {
    const child = spawn(program, ['-'], { cwd: folder, detached: true, stdio: ['pipe', log, log], env: {} });
    child.on('error', () => undefined);
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(text);
    child.unref();
    const identity = child.pid === undefined ? undefined : identityOf(child.pid);
    if (identity === undefined) throw new Error(`${program} could not be started`);
    return identity;
  } finally {
    closeSync(log);
  }
}

async function answers(server: RedisServer, folder: string, clock: Clock): Promise<void> {
  const until = clock.monotonic() + START_MS;
  for (;;) {
    if (existsSync(server.socketPath)) {
      const admin = await server.admin().catch(() => undefined);
      if (admin !== undefined) {
        const pong = await admin.ask('PING').catch(() => undefined);
        admin.close();
        if (pong === 'PONG') return;
      }
    }
    if (!server.isAlive()) throw new Error(`redis-server ended: ${lastLine(folder)}`);
    if (clock.monotonic() > until) throw new Error(`redis-server does not answer: ${lastLine(folder)}`);
    await pause(clock, LOOK_MS);
  }
}

async function connectAdmin(path: string, password: string): Promise<RedisAdmin> {
  const socket = { path, reconnectStrategy: false, connectTimeout: 2000 } as const;
  const client = createClient({ username: 'beamway', password, RESP: 2, socket });
  // Told to whoever asks; unheard it would end the process.
  client.on('error', () => undefined);
  await client.connect();
  return {
    ask: (...words) => client.sendCommand(words),
    get isOpen() {
      return client.isReady;
    },
    close() {
      if (client.isOpen) client.destroy();
    },
  };
}

function lastLine(folder: string): string {
  return readFileSync(join(folder, 'redis.log'), 'utf8').trim().split('\n').at(-1)?.slice(0, 300) ?? '';
}

function secretsOf(folder: string): z.output<typeof secretsSchema> {
  const path = join(folder, 'secrets.json');
  const known = readKept(path, secretsSchema);
  if (known !== undefined) return known;
  const fresh = (): string => randomBytes(24).toString('hex');
  const secrets = { agent: fresh(), producer: fresh(), consumer: fresh() };
  keep(path, secrets);
  return secrets;
}

const pause = (clock: Clock, ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve));
