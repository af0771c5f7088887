/**
 * RabbitMQ streams provisioned, published to, connected to while they are released, on a whole system: 100 virtual hosts of one shared RabbitMQ in turn through the gateway and the packet
 * router, and five RabbitMQs of their own. Nothing may be left on the data streaming node: no process, no descriptor, no virtual host's mark.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import amqp from 'amqplib';
import type { Soak } from './soak.ts';
import { holdings, type SoakSystem, startSoakSystem } from './system.ts';

const AT_ONCE = 5;
/** Sockets of the link, of HTTP and of RabbitMQ's management API come and go; a leak of one per cycle is more than this in a chunk. */
const SLACK = 12;
let system: SoakSystem | undefined;

function processes(name: string): number {
  return readdirSync('/proc').filter((pid) => {
    try {
      const zombie = / Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
      return /^\d+$/.test(pid) && !zombie && readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === name;
    } catch {
      return false;
    }
  }).length;
}

async function cycle({ client }: SoakSystem, name: string, template: string): Promise<void> {
  const parameters = { bufferBytes: 1_048_576, lifetimeSeconds: 600 };
  const { id } = await client.call('stream.create', { body: { name, template, parameters } });
  let ready = await client.call('stream.show', { params: { id }, query: { waitSeconds: 30 } });
  for (let i = 0; i < 4 && ready.state === 'pending'; i++)
    ready = await client.call('stream.show', { params: { id }, query: { waitSeconds: 30 } });
  assert.equal(ready.state, 'ready', ready.reason);
  const issued = await client.call('stream.credential', { params: { id }, body: { role: 'producer' } });
  const { endpoint, username, password, authority } = issued;
  const { hostname, port, pathname } = new URL(endpoint);
  const to = { protocol: 'amqps', hostname, port: Number(port), username, password, vhost: pathname.slice(1) || '/' };
  const connection = await amqp.connect(to, { ca: [authority ?? ''] });
  connection.on('error', () => undefined);
  const cut = new Promise((resolve) => connection.once('close', resolve));
  const out = await connection.createConfirmChannel();
  out.on('error', () => undefined);
  out.sendToQueue('frames', Buffer.alloc(10_000, 'x'));
  await out.waitForConfirms();
  await client.call('stream.delete', { params: { id } });
  let gone = await client.call('stream.show', { params: { id }, query: { waitSeconds: 30 } });
  if (gone.state === 'releasing')
    gone = await client.call('stream.show', { params: { id }, query: { waitSeconds: 30 } });
  assert.equal(gone.state, 'released', gone.reason);
  // Whoever is still connected is told by the end of the connection.
  await cut;
}

export const rabbitmqCycles: Soak = {
  name: 'rabbitmq-cycles',
  promise: 'a released RabbitMQ stream leaves no virtual host, router, RabbitMQ of its own or descriptor behind',
  unit: 'provision/publish/release cycles',
  total: 105,
  chunk: 21,
  async run(_context, { index, count }) {
    system ??= await startSoakSystem();
    const own = system;
    // The shared ones are warm from then on.
    for (const template of ['deleria-rabbitmq', 'deleria-routed']) await cycle(own, `rabbit-${index}-warm`, template);
    const look = async () => ({
      ...(await holdings(own.nodePid)),
      ...{ brokers: processes('beam.smp'), epmds: processes('epmd'), routers: processes('haproxy') },
    });
    const before = await look();
    for (let i = 0; i < count - 1; i += AT_ONCE)
      await Promise.all(
        Array.from({ length: Math.min(AT_ONCE, count - 1 - i) }, (_, n) =>
          cycle(own, `rabbit-${index}-${i + n}`, n % 2 === 0 ? 'deleria-rabbitmq' : 'deleria-routed'),
        ),
      );
    await cycle(own, `rabbit-${index}-own`, 'rabbitmq-dedicated');
    const after = await look();
    assert.ok(
      after.descriptors <= before.descriptors + SLACK,
      `descriptors grew from ${before.descriptors} to ${after.descriptors} in ${count} cycles`,
    );
    for (const what of ['brokers', 'epmds', 'routers'] as const)
      assert.ok(after[what] <= before[what], `${after[what] - before[what]} ${what} are left`);
    return { mostDescriptors: after.descriptors, mostNodeRssKiB: after.rssKiB };
  },
  async close() {
    await system?.stop();
    system = undefined;
  },
};
