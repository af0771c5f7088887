/**
 * For tests: the real control plane (`startServer`) on a database and a folder of its own, with the local scheduler and no streaming node; a test
 * may play one. Ends when the test does.
 */
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import type { Database } from '../../src/database/index.ts';
import { openDatabase, silentLog } from '../../src/database/index.ts';
import { type TestDatabase, type TestScope, testDatabase } from '../../src/database/testing.ts';
import {
  ALL_SCOPES,
  issueAgentBearer,
  issueNodeBearer,
  issueSession,
  issueToken,
  type Role,
  systemCaller,
  type TokenWishes,
} from '../../src/identity/index.ts';
import { MIGRATIONS, type RunningServer, startServer } from '../../src/server.ts';

export const FACILITY = new URL('../../facility', import.meta.url).pathname;
/** Of the limits of facility/limits.yaml: enough to be in nobody's way. */
const PLENTY = 1000;

export interface Bearer {
  readonly id: string;
  readonly value: string;
}

export interface TokenWish {
  readonly project?: string;
  readonly environments?: readonly string[];
  readonly scopes?: readonly string[];
  readonly lifetimeSeconds?: number;
  /** Seconds from now; may be negative. */
  readonly startsIn?: number;
  /** Whatever else a token may be asked for. */
  readonly more?: TokenWishes;
}

export interface Ask {
  readonly method?: string;
  readonly bearer?: Bearer | string | undefined;
  readonly body?: unknown;
  /** Sent as a form. */
  readonly form?: Readonly<Record<string, string>> | undefined;
  readonly key?: string;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly requestId: string;
  readonly text: string;
  /** Problem code, or empty. */
  readonly code: string;
  /** The body as JSON; fields are read as they come. */
  readonly body: Record<string, unknown>;
}

export interface ApiServer {
  readonly url: string;
  readonly state: string;
  readonly server: RunningServer;
  /** Of the application's role. */
  readonly database: Database;
  readonly embedded: TestDatabase['embedded'];
  token(wish?: TokenWish): Promise<Bearer>;
  session(...roles: Role[]): Promise<Bearer>;
  node(name: string): Promise<Bearer>;
  /** Of the Slurm agent of a cluster. */
  agent(cluster: string, lifetimeSeconds?: number): Promise<Bearer>;
  ask(path: string, ask?: Ask): Promise<Reply>;
  /** Ends it early; safe to repeat. */
  stop(): Promise<void>;
}

/** For what a whole file shares: ends when its last test has, newest first. To be called at the top of the file. */
export function fileScope(): TestScope {
  const actions: (() => Promise<void>)[] = [];
  after(async () => {
    for (const action of actions.reverse()) await action();
  });
  return { after: (action) => actions.push(action) };
}

export interface ApiServerOptions {
  /** Text of limits.yaml in place of the example's, taken as it stands. */
  readonly limits?: string;
  readonly trustedProxies?: readonly string[];
  /** Text of federation.yaml in place of the example's. */
  readonly federation?: string;
  /** Names of clusters with Slurm beside the example's, whose agents a test may play. */
  readonly slurmClusters?: readonly string[];
  /** Environments whose jobs go to one of them. */
  readonly slurmEnvironments?: Readonly<Record<string, string>>;
  /** Environments of the example that are on another cluster than there, by name. */
  readonly environmentsOn?: Readonly<Record<string, string>>;
}

export async function startApiServer(t: TestScope, options: ApiServerOptions = {}): Promise<ApiServer> {
  const { database, embedded } = await testDatabase(t, MIGRATIONS);
  const state = mkdtempSync(join(tmpdir(), 'beamway-api-'));
  chmodSync(state, 0o711);
  cpSync(FACILITY, join(state, 'facility'), { recursive: true });
  if (options.limits !== undefined) writeFileSync(join(state, 'facility', 'limits.yaml'), options.limits);
  if (options.federation !== undefined) writeFileSync(join(state, 'facility', 'federation.yaml'), options.federation);
  const facilityFile = join(state, 'facility', 'facility.yaml');
  const slurm = (options.slurmClusters ?? []).map((name) => `  - { name: ${name}, scheduler: slurm }\n`).join('');
  writeFileSync(facilityFile, readFileSync(facilityFile, 'utf8').replace('clusters:\n', `clusters:\n${slurm}`));
  for (const [name, cluster] of Object.entries(options.environmentsOn ?? {})) {
    const file = join(state, 'facility', 'environments', `${name}.yaml`);
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^cluster: .*$/m, `cluster: ${cluster}`));
  }
  for (const [name, cluster] of Object.entries(options.slurmEnvironments ?? {})) {
    const file = join(state, 'facility', 'environments', `${name}.yaml`);
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^cluster: .*$/m, `cluster: ${cluster}`));
  }
  const server = await startServer({
    stateDir: state,
    facilityDir: join(state, 'facility'),
    listen: { host: '127.0.0.1', port: 0 },
    target: { embedded },
    limitFactor: options.limits === undefined ? PLENTY : 1,
    trustedProxies: options.trustedProxies ?? [],
    logLevel: 'silent',
  });
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= server.stop({ endJobs: true });
    return stopped;
  };
  t.after(async () => {
    await stop();
    // A runner of the local scheduler writes its compile cache after its last word.
    await rm(state, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });
  const bearer = ({ token, value }: { readonly token: { readonly id: string }; readonly value: string }): Bearer => ({
    id: token.id,
    value,
  });
  return {
    url: server.url,
    state,
    server,
    database,
    embedded,
    async token(wish = {}) {
      const { project = 'demo', environments = ['ace'], scopes = ALL_SCOPES, lifetimeSeconds = 3600 } = wish;
      const notBefore = new Date(Date.now() + (wish.startsIn ?? 0) * 1000).toISOString();
      const input = {
        project,
        environments,
        scopes,
        lifetimeSeconds,
        ...(wish.startsIn !== undefined && { notBefore }),
        // Powerful scopes of the moderate enclave need their sources named.
        sources: environments.some((name) => server.facility.environments.get(name)?.enclave === 'moderate')
          ? ['127.0.0.0/8']
          : [],
        renewableDays: 1,
        ...wish.more,
      };
      return bearer(await issueToken(server.issue, systemCaller('test'), input));
    },
    async session(...roles) {
      return bearer(await issueSession(server.issue, { subject: 'eve', roles, lifetimeSeconds: 3600, by: 'test' }));
    },
    async node(name) {
      return bearer(await issueNodeBearer(server.issue, { name, lifetimeSeconds: 3600, by: 'test' }));
    },
    async agent(cluster, lifetimeSeconds = 3600) {
      return bearer(await issueAgentBearer(server.issue, { cluster, lifetimeSeconds, by: 'test' }));
    },
    ask: (path, ask) => askServer(server.url, path, ask),
    stop,
  };
}

export async function askServer(url: string, path: string, ask: Ask = {}): Promise<Reply> {
  const headers: Record<string, string> = {};
  const text = typeof ask.bearer === 'string' ? ask.bearer : ask.bearer?.value;
  if (text !== undefined) headers['authorization'] = `Bearer ${text}`;
  if (ask.body !== undefined) headers['content-type'] = 'application/json';
  if (ask.key !== undefined) headers['idempotency-key'] = ask.key;
  const init: RequestInit = { method: ask.method ?? 'GET', headers };
  if (ask.body !== undefined) init.body = JSON.stringify(ask.body);
  if (ask.form !== undefined) init.body = new URLSearchParams(ask.form);
  const answer = await fetch(`${url}${path}`, init);
  const requestId = answer.headers.get('x-request-id') ?? '';
  const isEvents = answer.headers.get('content-type') === 'text/event-stream';
  if (isEvents)
    return { status: answer.status, headers: answer.headers, requestId, text: await answer.text(), code: '', body: {} };
  if (answer.headers.get('content-type')?.startsWith('text/plain') === true) {
    const said = await answer.text();
    // What an operation answers as text is its whole body.
    const body = said as unknown as Record<string, unknown>;
    return { status: answer.status, headers: answer.headers, requestId, text: said, code: '', body };
  }
  const body = (await answer.json()) as Record<string, unknown>;
  const code = answer.status >= 400 ? String(body['code'] ?? body['error']) : '';
  return { status: answer.status, headers: answer.headers, requestId, text: JSON.stringify(body), code, body };
}

/** The same database as the role that owns the tables: what the application itself may never do. */
export async function asOwner(
  of: Pick<ApiServer, 'embedded'>,
  work: (database: Database) => Promise<void>,
): Promise<void> {
  const { ownerConnection } = of.embedded;
  const target = { embedded: { connection: ownerConnection, ownerConnection } };
  const owner = openDatabase(target, { clock: systemClock, log: silentLog, maxConnections: 1 });
  try {
    await work(owner);
  } finally {
    await owner.close();
  }
}

/** Looks again and again until `probe` gives a value; fails after ten seconds. */
export async function eventually<T>(what: string, probe: () => Promise<T | undefined>): Promise<T> {
  const end = systemClock.monotonic() + 10_000;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    assert.ok(systemClock.monotonic() < end, `${what} within 10 s`);
    await new Promise<void>((resolve) => void systemClock.after(20, resolve));
  }
}
