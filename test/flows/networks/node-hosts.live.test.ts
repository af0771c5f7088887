// A node's own process between outside, compute and control, as network namespaces: the control network carries no frame, a cut control link changes nothing until streams' offline life is over, a noisy stream takes no other's share, and
// nothing listens but where it was told to.
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, afterEach, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { Lease, ObservedStream } from '../../../src/api/contract/node-link.ts';
import { digestOf, testLease } from '../../../src/dsn/lease.fixture.ts';
import type { ControlLine, ControlOrders } from './control.fixture.ts';
import { ADDRESS, makeNetworks, type Networks, type Place, whyNoNetworks } from './make-networks.ts';
import type { TrafficLine, TrafficOrders } from './traffic.fixture.ts';

const missing = [
  ['/usr/bin/redis-server', 'redis-server'],
  ['/usr/sbin/ip', 'iproute2'],
].flatMap(([path = '', name]) => (existsSync(path) ? [] : [name]));
const skip = missing.length > 0 ? `Debian: apt-get install ${missing.join(' ')}` : (whyNoNetworks() ?? false);
const timeout = 120_000;
const MIB = 1_048_576;
const PATIENCE_MS = 60_000;

const place = mkdtempSync(join(tmpdir(), 'beamway-hosts-'));
const leasesFile = join(place, 'leases.json');
const linkFile = join(place, 'link.json');
const children: ChildProcess[] = [];
let networks: Networks | undefined;
let seen: readonly ObservedStream[] = [];
let version = 0;

const script = (name: string): string => new URL(name, import.meta.url).pathname;
const NODE_MAIN = script('../../../src/node-main.ts');

/** In a namespace, its lines as they come. */
function start<Line>(from: Place, file: string, orders: object) {
  const words = [...(networks?.in(from) ?? []), process.execPath, file, JSON.stringify(orders)];
  const [program = '', ...args] = words;
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  children.push(child);
  const lines: Line[] = [];
  let said = '';
  createInterface(child.stdout).on('line', (line) => void lines.push(JSON.parse(line) as Line));
  child.stderr.on('data', (part: Buffer) => {
    said += String(part);
  });
  return { child, lines, said: () => said, exited: once(child, 'exit') };
}

async function until<T>(what: string, look: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  for (const end = performance.now() + PATIENCE_MS; ; ) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    assert.ok(performance.now() < end, `${what}: ${JSON.stringify(seen.map((s) => [s.stream, s.state, s.reason]))}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const nodeOptions = (change: object = {}) => ({
  ...{ name: 'dsn01', stateDir: join(place, 'node'), linkFile, logLevel: 'fatal' },
  ...{ external: ADDRESS.external, compute: ADDRESS.computeSide, portRange: { from: 0, to: 0 } },
  ...change,
});

before(async () => {
  if (skip !== false) return;
  networks = makeNetworks();
  leases([]);
  const orders: ControlOrders = { address: ADDRESS.control, leasesFile };
  const control = start<ControlLine>('control', script('control.fixture.ts'), orders);
  createInterface(control.child.stdout).on('line', (line) => {
    seen = (JSON.parse(line) as ControlLine).streams ?? seen;
  });
  const port = await until('the control plane listens', () => control.lines[0]?.port);
  writeFileSync(linkFile, JSON.stringify({ url: `http://${ADDRESS.control}:${port}`, bearer: 'a bearer' }));
  const node = start<{ ready: boolean }>('dsn', NODE_MAIN, nodeOptions());
  await until('the node is ready', () => {
    assert.equal(node.child.exitCode, null, node.said());
    return node.lines[0]?.ready;
  });
});
afterEach(async () => {
  if (skip !== false) return;
  leases([]);
  await until('all are gone', () => seen.length === 0);
});
after(async () => {
  for (const child of children.reverse()) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    await gone;
  }
  networks?.remove();
  rmSync(place, { recursive: true, force: true });
});

function leases(those: readonly Lease[]): void {
  version += 1;
  writeFileSync(`${leasesFile}.new`, JSON.stringify({ version, leases: those }));
  renameSync(`${leasesFile}.new`, leasesFile);
}

const lease = (stream: string, over: Partial<Lease> = {}): Lease =>
  testLease({
    ...{ stream, engine: 'redis', overflow: 'refuse', bufferBytes: 32 * MIB, maxMessageBytes: 2 * MIB },
    ...{ expiresAtMs: Date.now() + 3_600_000, offlineLifetimeSeconds: 3600 },
    externalAddresses: [`${ADDRESS.outside}/32`, `${ADDRESS.compute}/32`],
    credentials: (['producer', 'consumer'] as const).map((role) => ({
      ...{ id: `${stream}-${role}`, role, username: role },
      ...{ passwordDigest: digestOf(`${role}-password`), expiresAtMs: Date.now() + 3_600_000 },
    })),
    ...over,
  });

const isReady = (stream: string): boolean => seen.some((s) => s.stream === stream && s.state === 'ready');
const bytesIn = (stream: string): number => seen.find((s) => s.stream === stream)?.counters.bytesIn ?? 0;

/** Its producer is outside, its consumer on the compute side; the consumer's group is there before the first frame. */
async function traffic(stream: string, orders: Pick<TrafficOrders, 'messages' | 'bytes' | 'pauseMs'>) {
  const { endpoints } = await until(`${stream} is ready`, () =>
    seen.find((s) => s.stream === stream && s.state === 'ready'),
  );
  const run = (role: 'producer' | 'consumer') =>
    start<TrafficLine>(role === 'producer' ? 'outside' : 'compute', script('traffic.fixture.ts'), {
      ...{ role, endpoint: endpoints[role] ?? '' },
      ...orders,
    } satisfies TrafficOrders);
  const consumer = run('consumer');
  await until('the consumer is there', () => consumer.lines.length > 0);
  const producer = run('producer');
  const count = (): number => consumer.lines.at(-1)?.count ?? 0;
  return { consumer, producer, count };
}

type Traffic = Awaited<ReturnType<typeof traffic>>;

async function whole({ consumer, producer }: Traffic): Promise<void> {
  const [got, sent] = await Promise.all(
    [consumer, producer].map((side) => until('all is through', () => side.lines.at(-1)?.digest)),
  );
  assert.equal(got, sent);
}

test('frames pass on the external and the compute network, and the control network carries only the link', {
  skip,
  timeout,
}, async () => {
  assert.ok(networks !== undefined);
  leases([lease('str_frames')]);
  await until('it is ready', () => isReady('str_frames'));
  const was = {
    control: networks.passed('control'),
    outside: networks.passed('outside'),
    compute: networks.passed('compute'),
  };
  const MESSAGES = 96;
  await whole(await traffic('str_frames', { messages: MESSAGES, bytes: MIB }));
  const payload = MESSAGES * MIB;
  assert.ok(networks.passed('outside') - was.outside > payload);
  assert.ok(networks.passed('compute') - was.compute > payload);
  const control = networks.passed('control') - was.control;
  assert.ok(control > 0 && control < payload / 100, `${control} octets on the control network`);
});

test('a cut control link changes nothing for running streams until their offline life is over; then they are closed, and come back when it is mended', {
  skip,
  timeout,
}, async () => {
  assert.ok(networks !== undefined);
  leases([lease('str_long'), lease('str_brief', { offlineLifetimeSeconds: 6 })]);
  const endless = { messages: 1_000_000, bytes: 10_000, pauseMs: 5 };
  const [long, brief] = [await traffic('str_long', endless), await traffic('str_brief', endless)];
  await until('both are under way', () => long.count() > 20 && brief.count() > 20);
  const before = seen.find((s) => s.stream === 'str_brief')?.endpoints;
  networks.link('control', 'down');
  const [longAtCut, briefAtCut] = [long.count(), brief.count()];
  await until('both go on', () => long.count() > longAtCut + 100 && brief.count() > briefAtCut + 100);
  await brief.consumer.exited;
  await brief.producer.exited;
  for (const side of [brief.consumer, brief.producer]) assert.ok(side.lines.at(-1)?.ended !== undefined);
  const atEnd = long.count();
  await until('the other goes on', () => long.count() > atEnd + 100);
  networks.link('control', 'up');
  // Until then what was last reported still said ready.
  seen = [];
  await until('it is back', () => isReady('str_brief') && isReady('str_long'));
  assert.deepEqual(seen.find((s) => s.stream === 'str_brief')?.endpoints, before, 'at its ports');
  const again = await traffic('str_brief', { messages: 20, bytes: 10_000 });
  await whole(again);
  assert.equal(long.consumer.child.exitCode, null);
  for (const side of [long.producer, long.consumer]) side.child.kill('SIGKILL');
});

test('a stream whose bound is reached leaves the other’s share: its fixed work is done before the noisy one has put in eight times as much', {
  skip,
  timeout,
}, async () => {
  leases([lease('str_noisy', { bytesPerSecond: 4 * MIB }), lease('str_quiet')]);
  const noisy = await traffic('str_noisy', { messages: 1_000_000, bytes: MIB });
  await until('the noisy one is at its bound', () => noisy.count() > 4);
  const [was, WORK] = [bytesIn('str_noisy'), 16 * MIB];
  await whole(await traffic('str_quiet', { messages: WORK / 65_536, bytes: 65_536 }));
  const meanwhile = bytesIn('str_noisy') - was;
  assert.ok(meanwhile < 8 * WORK, `${meanwhile} octets of the noisy one, ${WORK} of the quiet one`);
  for (const side of [noisy.producer, noisy.consumer]) side.child.kill('SIGKILL');
});

test('without a bound, or with a buffer that is full, a noisy stream is refused itself, and every message of the other arrives whole', {
  skip,
  timeout,
}, async () => {
  leases([lease('str_noisy'), lease('str_full', { bufferBytes: 4 * MIB }), lease('str_quiet')]);
  const noisy = await traffic('str_noisy', { messages: 1_000_000, bytes: MIB });
  const full = await traffic('str_full', { messages: 1_000_000, bytes: MIB });
  full.consumer.child.kill('SIGKILL');
  await until('the full one is refused', () => (full.producer.lines.at(-1)?.refused ?? 0) > 0);
  await until('the noisy one is under way', () => noisy.count() > 10);
  const quiet = await traffic('str_quiet', { messages: 400, bytes: 16_384 });
  await whole(quiet);
  assert.equal(quiet.producer.lines.at(-1)?.refused, 0);
  for (const side of [noisy.producer, noisy.consumer, full.producer]) side.child.kill('SIGKILL');
});

test('listeners are on the addresses of their networks and on no other; an address that is not of the host is refused at the start, one that went away with the stream’s reason', {
  skip,
  timeout,
}, async () => {
  assert.ok(networks !== undefined);
  leases([lease('str_a')]);
  await until('it is ready', () => isReady('str_a'));
  const [ss = '', ...words] = [...networks.in('dsn'), '/usr/bin/ss', '-Hltn'];
  const { stdout } = await promisify(execFile)(ss, words);
  const hosts = new Set(stdout.split('\n').flatMap((line) => line.trim().split(/\s+/)[3]?.replace(/:\d+$/, '') ?? []));
  assert.ok(hosts.has(ADDRESS.external) && hosts.has(ADDRESS.computeSide));
  assert.deepEqual(
    [...hosts].filter((h) => ![ADDRESS.external, ADDRESS.computeSide, '127.0.0.1'].includes(h)),
    [],
  );
  for (const change of [{ external: '203.0.113.9' }, { compute: '0.0.0.0' }, { external: '::' }]) {
    const other = start('dsn', NODE_MAIN, nodeOptions({ ...change, stateDir: join(place, 'other') }));
    const [code] = (await other.exited) as [number | null];
    assert.notEqual(code, 0);
    assert.match(other.said(), /is on no interface of this host|is all interfaces of this host/);
  }
  networks.address('external', 'del');
  try {
    leases([lease('str_b')]);
    const { reason } = await until('it fails', () => seen.find((s) => s.stream === 'str_b' && s.state === 'failed'));
    assert.match(reason, new RegExp(`EADDRNOTAVAIL.*${ADDRESS.external}`));
  } finally {
    networks.address('external', 'add');
  }
  await until('it opens once the address is there', () => isReady('str_b'));
});
