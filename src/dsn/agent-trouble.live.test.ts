// An agent whose clock is set, and one whose disk is full, each in a process of its own with a real redis-server and a file for a control plane: streams are neither ended nor kept by it, and what was acknowledged is there.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, type TestContext, test } from 'node:test';
import { createClient } from '@redis/client';
import type { Lease } from '../api/contract/node-link.ts';
import type { TroubleOrders, TroubleTurn } from './agent-trouble.fixture.ts';
import { redisProgram } from './broker/redis/redis-server.ts';
import { digestOf, testLease } from './lease.fixture.ts';

const MIB = 1_048_576;
const HOUR_MS = 3_600_000;
const FIXTURE = new URL('agent-trouble.fixture.ts', import.meta.url).pathname;
const [FAKETIME] = globSync('/usr/lib/*/faketime/libfaketime.so.1');
const noRedis = redisProgram() === undefined ? 'no redis-server; Debian: apt install redis-server' : false;
const place = mkdtempSync(join(tmpdir(), 'beamway-trouble-'));
after(() => rmSync(place, { recursive: true, force: true }));

const credential = (id: string) => ({
  ...{ id, role: 'producer' as const, username: id },
  passwordDigest: digestOf('p'),
  expiresAtMs: Date.now() + HOUR_MS,
});
const lease = (stream: string, over: Partial<Lease> = {}): Lease =>
  testLease({
    ...{ stream, engine: 'redis', overflow: 'refuse', bufferBytes: 16 * MIB, maxMessageBytes: MIB },
    expiresAtMs: Date.now() + HOUR_MS,
    offlineLifetimeSeconds: 3600,
    credentials: [credential('pro')],
    ...over,
  });

/** What the control plane answers from now on. */
function link(file: string, version: number, leases: readonly Lease[]): void {
  writeFileSync(`${file}.new`, JSON.stringify({ version, leases, acceptedEvents: [] }));
  renameSync(`${file}.new`, file);
}

/** The agent under `before`, e.g. another environment; what it says turn by turn. */
function start(
  t: TestContext,
  orders: TroubleOrders,
  before: { readonly words?: readonly string[]; readonly env?: object },
) {
  const [program = '', ...args] = [...(before.words ?? []), process.execPath, FIXTURE, JSON.stringify(orders)];
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...before.env } });
  let turn: TroubleTurn = { nowMs: 0, streams: [] };
  let turns = 0;
  let said = '';
  createInterface(child.stdout).on('line', (line) => {
    turn = JSON.parse(line) as TroubleTurn;
    turns += 1;
  });
  child.stderr.on('data', (part: Buffer) => {
    said += String(part);
  });
  t.after(async () => {
    if (child.exitCode !== null) return;
    const gone = once(child, 'exit');
    child.stdin.end();
    await gone;
  });
  const until = async (what: string, probe: (now: TroubleTurn) => boolean): Promise<void> => {
    for (const end = performance.now() + 30_000; !probe(turn); ) {
      assert.ok(child.exitCode === null, `the agent ended: ${said}`);
      assert.ok(performance.now() < end, `${what}: ${JSON.stringify(turn)} ${said}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  return {
    until,
    pid: child.pid ?? 0,
    said: () => said,
    isReady: (stream: string) => turn.streams.some((s) => s.stream === stream && s.state === 'ready'),
    endpoint: (stream: string) => turn.streams.find((s) => s.stream === stream)?.endpoints['producer'] ?? '',
    nowMs: () => turn.nowMs,
    async someTurns() {
      const from = turns;
      await until('it turns', () => turns > from + 2);
    },
  };
}

async function connect(t: TestContext, endpoint: string, username = 'pro') {
  const { hostname, port } = new URL(endpoint);
  const socket = { host: hostname, port: Number(port), reconnectStrategy: false } as const;
  const client = createClient({ username, password: 'p', RESP: 2, socket, disableClientInfo: true });
  client.on('error', () => undefined);
  await client.connect();
  t.after(() => void (client.isOpen && client.destroy()));
  return (...words: string[]) => client.sendCommand(words);
}

test('a clock that is set by seconds ends no stream and cuts nobody; set back by an hour it prolongs no offline life; set on by hours it ends what has expired by it', {
  skip: noRedis || (FAKETIME === undefined ? 'no faketime; Debian: apt install faketime' : false),
  timeout: 90_000,
}, async (t) => {
  const folder = join(place, 'clock');
  const linkedWhile = join(place, 'clock-linked');
  const offset = join(place, 'offset');
  // Replaced by one write of few octets, which libfaketime reads anew at each call.
  const set = (by: string): void => writeFileSync(offset, `${by}\n`);
  set('+0');
  link(linkedWhile, 1, [lease('str_long'), lease('str_brief', { offlineLifetimeSeconds: 8 })]);
  const agent = start(
    t,
    { folder, linkedWhile },
    {
      env: {
        LD_PRELOAD: FAKETIME,
        FAKETIME_TIMESTAMP_FILE: offset,
        FAKETIME_NO_CACHE: '1',
        // As a machine's clock is set: CLOCK_MONOTONIC goes on.
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        DONT_FAKE_MONOTONIC: '1',
      },
    },
  );
  await agent.until('both are ready', () => agent.isReady('str_long') && agent.isReady('str_brief'));
  const ask = await connect(t, agent.endpoint('str_long'));
  await ask('XADD', 's', '*', 'f', 'v');
  for (const by of ['+30', '-30', '+0']) {
    set(by);
    await agent.until('the clock is set', (now) => Math.abs(now.nowMs - Date.now() - Number(by) * 1000) < 5000);
    await agent.someTurns();
    assert.ok(agent.isReady('str_long') && agent.isReady('str_brief'), by);
    await ask('XADD', 's', '*', 'f', by);
  }
  rmSync(linkedWhile);
  for (const by of ['+30', '-3600']) {
    set(by);
    await agent.until('the clock is set', (now) => Math.abs(now.nowMs - Date.now() - Number(by) * 1000) < 5000);
    await agent.someTurns();
    assert.ok(agent.isReady('str_long'), by);
  }
  await agent.until('offline for longer than it may be, it is closed', () => !agent.isReady('str_brief'));
  assert.ok(agent.nowMs() < Date.now() - HOUR_MS / 2, 'by a clock that still is an hour behind');
  assert.match(String(await ask('XADD', 's', '*', 'f', 'last')), /^\d+-\d+$/);
  set('+7200');
  await agent.until('what has expired by the clock is closed', () => !agent.isReady('str_long'));
});

const noMount =
  process.getuid?.() === 0 && existsSync('/usr/bin/unshare') ? false : 'a mount namespace needs root and util-linux';

test('a disk that is full ends no stream: the agent goes on from what it knows and says so, revokes all the same, and what was acknowledged is there', {
  skip: noRedis || noMount,
  timeout: 60_000,
}, async (t) => {
  const folder = join(place, 'disk');
  const linkedWhile = join(place, 'disk-linked');
  // A file system of 8 MiB that only this process and its children see. The filler is written once this file is there, and goes with it.
  const fill = join(place, 'fill');
  const script = `mkdir -p "$1" && mount -t tmpfs -o size=8m none "$1" || exit 9
    (while [ ! -e "$2" ]; do sleep 0.1; done; cat /dev/zero > "$1/filler" 2>/dev/null; touch "$2.full"
     while [ -e "$2" ]; do sleep 0.1; done; rm "$1/filler"; touch "$2.empty") </dev/null >/dev/null 2>&1 &
    shift 2; exec "$@"`;
  const words = ['/usr/bin/unshare', '-m', '--propagation', 'private', '/bin/sh', '-c', script, 'sh', folder, fill];
  const both = lease('str_a', { credentials: [credential('pro'), credential('guest')] });
  link(linkedWhile, 1, [both]);
  const agent = start(t, { folder, linkedWhile }, { words });
  await agent.until('it is ready', () => agent.isReady('str_a'));
  const ask = await connect(t, agent.endpoint('str_a'));
  const guest = await connect(t, agent.endpoint('str_a'), 'guest');
  const put = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++)
      assert.match(String(await ask('XADD', 's', '*', 'f', 'v'.repeat(1000))), /^\d+-\d+$/);
  };
  await put(100);
  await guest('PING');
  writeFileSync(fill, '');
  await agent.until('the disk is full', () => existsSync(`${fill}.full`));
  const written = (): number =>
    (JSON.parse(readFileSync(`/proc/${agent.pid}/root${folder}/leases.json`, 'utf8')) as { version: number }).version;
  link(linkedWhile, 2, [{ ...both, credentials: [credential('pro')] }]);
  await agent.until('it is said', () => /the lease file cannot be written/.test(agent.said()));
  await assert.rejects(async () => {
    for (;;) await guest('PING');
  });
  await put(100);
  await agent.someTurns();
  assert.ok(agent.isReady('str_a'));
  assert.equal(written(), 1, 'the last that could be written, whole');
  rmSync(fill);
  await agent.until('it is written once there is room', () => existsSync(`${fill}.empty`) && written() === 2);
  await put(100);
});
