/**
 * A runaway client cannot starve another project: two real replicas on one database, one project whose many tokens and connections ask as fast
 * as they can and heed no answer, and a quiet one that must not notice.
 */
import assert from 'node:assert/strict';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { testDatabase } from '../../src/database/testing.ts';
import { ALL_SCOPES, issueToken, systemCaller } from '../../src/identity/index.ts';
import { MIGRATIONS, type RunningServer, startServer } from '../../src/server.ts';
import { FACILITY } from './api-server.ts';

const PATIENT = { timeout: 120_000 };
const QUIET_REQUESTS = 300;
const RUNAWAY_TOKENS = 20;
const RUNAWAY_CONNECTIONS = 48;

async function replicas(t: TestContext, limits: string): Promise<readonly [RunningServer, RunningServer]> {
  const { embedded } = await testDatabase(t, MIGRATIONS);
  const dir = mkdtempSync(join(tmpdir(), 'beamway-limits-'));
  chmodSync(dir, 0o711);
  const facilityDir = join(dir, 'facility');
  cpSync(FACILITY, facilityDir, { recursive: true });
  writeFileSync(join(facilityDir, 'limits.yaml'), limits);
  const started: RunningServer[] = [];
  t.after(async () => {
    for (const server of started) await server.stop({ endJobs: true });
    rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });
  const start = async (name: string): Promise<RunningServer> => {
    mkdirSync(join(dir, name));
    // Every replica needs the same keys.
    if (existsSync(join(dir, 'a', 'keys')))
      cpSync(join(dir, 'a', 'keys'), join(dir, name, 'keys'), { recursive: true });
    const server = await startServer({
      stateDir: join(dir, name),
      facilityDir,
      listen: { host: '127.0.0.1', port: 0 },
      target: { embedded },
      logLevel: 'silent',
    });
    started.push(server);
    return server;
  };
  return [await start('a'), await start('b')];
}

async function tokenOf(server: RunningServer, project: string): Promise<string> {
  const { value } = await issueToken(server.issue, systemCaller('test'), {
    project,
    environments: ['ace'],
    scopes: ALL_SCOPES,
    lifetimeSeconds: 3600,
    sources: [],
    renewableDays: 1,
  });
  return value;
}

function statusOf(url: string, agent: Agent, token: string): Promise<number> {
  return new Promise((resolve) => {
    get(`${url}/beamway/v1/jobs`, { agent, headers: { authorization: `Bearer ${token}` } }, (answer) => {
      answer.resume();
      answer.once('end', () => resolve(answer.statusCode ?? 0));
    }).once('error', () => resolve(0));
  });
}

type Counts = Readonly<Record<number, number>>;

const count = (statuses: readonly number[]): Counts =>
  Object.fromEntries([...new Set(statuses)].map((s) => [s, statuses.filter((other) => other === s).length]));

/** Asks one thing after the other, of both replicas in turn. */
async function quietly(servers: readonly RunningServer[], token: string): Promise<Counts> {
  const agent = new Agent({ keepAlive: true });
  const statuses: number[] = [];
  for (let i = 0; i < QUIET_REQUESTS; i++)
    statuses.push(await statusOf(servers[i % servers.length]?.url ?? '', agent, token));
  agent.destroy();
  return count(statuses);
}

/** Until `stop` is called, which gives what came back and for how long. */
function runAway(servers: readonly RunningServer[], tokens: readonly string[]) {
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  const began = performance.now();
  const statuses: number[] = [];
  let running = true;
  const loops = Array.from({ length: RUNAWAY_CONNECTIONS }, async (_, i) => {
    const url = servers[i % servers.length]?.url ?? '';
    for (let n = i; running; n++) statuses.push(await statusOf(url, agent, tokens[n % tokens.length] ?? ''));
  });
  return async (): Promise<{ readonly counts: Counts; readonly seconds: number }> => {
    running = false;
    await Promise.all(loops);
    const seconds = (performance.now() - began) / 1000;
    agent.destroy();
    return { counts: count(statuses), seconds };
  };
}

async function together(t: TestContext, limits: string) {
  const servers = await replicas(t, limits);
  const quiet = await tokenOf(servers[0], 'beamtime');
  const tokens: string[] = [];
  for (let i = 0; i < RUNAWAY_TOKENS; i++) tokens.push(await tokenOf(servers[0], 'demo'));
  const alone = await quietly(servers, quiet);
  const stop = runAway(servers, tokens);
  const beside = await quietly(servers, quiet);
  return { alone, beside, runaway: await stop() };
}

test(
  'by rate: the runaway project gets what its limit brings over both replicas, the quiet one all it asks for',
  PATIENT,
  async (t) => {
    const { alone, beside, runaway } = await together(
      t,
      `address: { perSecond: 100000, burst: 100000 }
project: { read: { perSecond: 50, burst: 50 } }
projects: { beamtime: { read: { perSecond: 2000, burst: 2000 } } }
`,
    );
    assert.deepEqual(alone, { 200: QUIET_REQUESTS });
    assert.deepEqual(beside, alone, 'the quiet project does not notice');
    const { counts, seconds } = runaway;
    const admitted = counts[200] ?? 0;
    t.diagnostic(`runaway: ${JSON.stringify(counts)} in ${seconds.toFixed(1)} s`);
    assert.ok(admitted <= 50 + 50 * seconds + 2 * 5, `${admitted} admitted in ${seconds} s`);
    assert.ok(admitted >= 50 && (counts[429] ?? 0) > admitted);
  },
);

test(
  'by slots: with all slots taken and no rate in the way, the quiet project still gets its turn',
  PATIENT,
  async (t) => {
    const { alone, beside, runaway } = await together(
      t,
      `address: { perSecond: 100000, burst: 100000 }
token: { read: { perSecond: 100000, burst: 100000 } }
project: { read: { perSecond: 100000, burst: 100000 } }
environment: { read: { perSecond: 100000, burst: 100000 } }
inFlight: { token: 64, project: 128, replica: 4, waitMs: 10000 }
`,
    );
    assert.deepEqual(alone, { 200: QUIET_REQUESTS });
    assert.deepEqual(beside, alone, 'the quiet project does not notice');
    t.diagnostic(`runaway: ${JSON.stringify(runaway.counts)} in ${runaway.seconds.toFixed(1)} s`);
    assert.ok((runaway.counts[200] ?? 0) > QUIET_REQUESTS, 'and what is left over goes to the runaway');
  },
);
