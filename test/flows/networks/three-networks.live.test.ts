// Outside, a stranger, the node and a compute node as network namespaces: in each mode who is listed gets in and who is not does not, a job comes from the compute side, and past the node leads no way.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { ClientOrders } from './client.fixture.ts';
import { ADDRESS, makeNetworks, type Networks, type Place, whyNoNetworks } from './make-networks.ts';
import type { NodeOrders, NodeReady } from './node.fixture.ts';

const missing = [
  ['/usr/bin/redis-server', 'redis-server'],
  ['/usr/lib/rabbitmq', 'rabbitmq-server'],
  ['/usr/sbin/haproxy', 'haproxy'],
  ['/usr/sbin/ip', 'iproute2'],
].flatMap(([path = '', name]) => (existsSync(path) ? [] : [name]));
const skip = missing.length > 0 ? `Debian: apt-get install ${missing.join(' ')}` : (whyNoNetworks() ?? false);
const timeout = 90_000;
const MODES = ['redis l7', 'rabbitmq l7', 'rabbitmq direct', 'rabbitmq l4'] as const;

const place = mkdtempSync(join(tmpdir(), 'beamway-networks-'));
let networks: Networks | undefined;
let ready: NodeReady;
let ending = async (): Promise<void> => undefined;

const script = (name: string): string => new URL(name, import.meta.url).pathname;

before(async () => {
  if (skip !== false) return;
  networks = makeNetworks();
  const orders: NodeOrders = {
    ...{ folder: place, external: ADDRESS.external, compute: ADDRESS.computeSide },
    allowed: `${ADDRESS.outside}/32`,
  };
  const [program = '', ...args] = [
    ...networks.in('dsn'),
    process.execPath,
    script('node.fixture.ts'),
    JSON.stringify(orders),
  ];
  const node = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  ending = async () => {
    const gone = once(node, 'exit');
    node.stdin.end();
    await gone;
  };
  let said = '';
  for await (const part of node.stdout) {
    said += String(part);
    if (said.includes('\n')) break;
  }
  ready = JSON.parse(said) as NodeReady;
});
after(async () => {
  await ending();
  networks?.remove();
  rmSync(place, { recursive: true, force: true });
});

async function goes(from: Place, endpoint: string, username: string): Promise<string> {
  const orders: ClientOrders = { endpoint, username, authority: ready.authority };
  const words = [...(networks?.in(from) ?? []), process.execPath, script('client.fixture.ts'), JSON.stringify(orders)];
  const [program = '', ...args] = words;
  const { stdout } = await promisify(execFile)(program, args, { timeout: 30_000 });
  return stdout.trim();
}

for (const mode of MODES)
  test(`${mode}: who is listed gets in, who is not does not, a job does from the compute side`, {
    skip,
    timeout,
  }, async () => {
    const at = ready.streams.find((s) => s.name === mode)?.endpoints ?? {};
    const id = mode.replace(' ', '-');
    const [outside = '', inside = ''] = [at['producer'], at['consumer']];
    assert.match(outside, new RegExp(`//${ADDRESS.external}:`));
    assert.match(inside, new RegExp(`//${ADDRESS.computeSide}:`));
    assert.equal(await goes('outside', outside, `con-${id}`), 'in');
    assert.match(await goes('stranger', outside, `con-${id}`), /^out: /);
    assert.equal(await goes('compute', inside, `job-${id}`), 'in');
    assert.match(await goes('outside', outside, 'somebody-else'), /^out: /);
  });

test('past the node leads no way: neither to a compute node, nor to a broker behind a gateway or a router', {
  skip,
  timeout,
}, async () => {
  const words = networks?.in('compute') ?? [];
  const listener = "require('node:net').createServer().listen(7777, '0.0.0.0', () => console.log('up'))";
  const [program = '', ...args] = [...words, process.execPath, '-e', listener];
  const server = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(server.stdout, 'data');
    assert.equal(await goes('dsn', `tcp://${ADDRESS.compute}:7777`, ''), 'in', 'the node itself reaches it');
    assert.match(await goes('outside', `tcp://${ADDRESS.compute}:7777`, ''), /^out: /);
  } finally {
    server.kill('SIGKILL');
  }
  // Of all that listens on the node, only what was opened for users is on an address of a network.
  const [ss = '', ...more] = [...(networks?.in('dsn') ?? []), '/usr/bin/ss', '-Hltn'];
  const { stdout } = await promisify(execFile)(ss, more);
  const open = stdout.split('\n').flatMap((line) => line.trim().split(/\s+/)[3] ?? []);
  const reachable = new Set(open.filter((a) => !a.startsWith('127.') && !a.startsWith('[::1]')));
  const told = new Set(
    ready.streams.flatMap((s) => Object.values(s.endpoints).map((e) => new URL(e.replace(/^\w+:/, 'http:')).host)),
  );
  assert.deepEqual(
    [...reachable].filter((a) => !told.has(a)),
    [],
  );
});
