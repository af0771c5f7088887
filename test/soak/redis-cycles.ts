/** 300 Redis streams provisioned, written to and released on a whole system: nothing may be left on the data streaming node, and no redis-server on the machine. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { createClient } from '@redis/client';
import type { Soak } from './soak.ts';
import { holdings, type SoakSystem, startSoakSystem } from './system.ts';

const AT_ONCE = 10;
/** Sockets of the link and of HTTP come and go; a leak of one per cycle is several times this in a chunk. */
const SLACK = 10;
let system: SoakSystem | undefined;

/** redis-servers that a process of ours started are named by their parent or, once it is gone, live on: all of the machine's are counted. */
function servers(): number {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'redis-server';
    } catch {
      return false;
    }
  }).length;
}

async function cycle({ client }: SoakSystem, name: string): Promise<void> {
  const parameters = { bufferBytes: 1_048_576, lifetimeSeconds: 600 };
  const { id } = await client.call('stream.create', { body: { name, template: 'steering', parameters } });
  const ready = await client.call('stream.show', { params: { id }, query: { waitSeconds: 20 } });
  assert.equal(ready.state, 'ready', ready.reason);
  const { endpoint, username, password, authority } = await client.call('stream.credential', {
    params: { id },
    body: { role: 'producer' },
  });
  const { hostname: host, port } = new URL(endpoint);
  const tls = { tls: true, ca: authority ?? '', host, port: Number(port) } as const;
  const producer = createClient({ username, password, socket: { ...tls, reconnectStrategy: false } });
  const cut = new Promise<void>((resolve) => producer.on('error', () => resolve()));
  await producer.connect();
  await producer.xAdd('frames', '*', { f: 'x'.repeat(10_000) });
  await client.call('stream.delete', { params: { id } });
  const gone = await client.call('stream.show', { params: { id }, query: { waitSeconds: 20 } });
  assert.equal(gone.state, 'released', gone.reason);
  // Whoever is still connected is told by the end of the connection.
  await cut;
}

export const redisCycles: Soak = {
  name: 'redis-cycles',
  promise: 'a released Redis stream leaves no redis-server, port, descriptor or folder behind',
  unit: 'provision/write/release cycles',
  total: 300,
  chunk: 50,
  async run(_context, { index, count }) {
    system ??= await startSoakSystem();
    const own = system;
    const before = { ...(await holdings(own.nodePid)), servers: servers() };
    for (let i = 0; i < count; i += AT_ONCE)
      await Promise.all(
        Array.from({ length: Math.min(AT_ONCE, count - i) }, (_, n) => cycle(own, `redis-${index}-${i + n}`)),
      );
    const after = { ...(await holdings(own.nodePid)), servers: servers() };
    assert.ok(
      after.descriptors <= before.descriptors + SLACK,
      `descriptors grew from ${before.descriptors} to ${after.descriptors} in ${count} cycles`,
    );
    assert.ok(after.servers <= before.servers, `${after.servers - before.servers} redis-servers are left`);
    return { mostDescriptors: after.descriptors, mostNodeRssKiB: after.rssKiB };
  },
  async close() {
    await system?.stop();
    system = undefined;
  },
};
