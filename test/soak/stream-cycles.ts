/** 1,000 provision/release cycles on a whole system: nothing may be left on the data streaming node. */
import assert from 'node:assert/strict';
import type { Soak } from './soak.ts';
import { holdings, type SoakSystem, startSoakSystem } from './system.ts';

/** Sockets of the link and of HTTP come and go; a leak of one per cycle is ten times this in a chunk. */
const SLACK = 10;
let system: SoakSystem | undefined;

export const streamCycles: Soak = {
  name: 'stream-cycles',
  promise: 'a released stream leaves no port, descriptor or lease behind',
  unit: 'provision/release cycles',
  total: 1000,
  chunk: 100,
  async run(_context, { count }) {
    system ??= await startSoakSystem();
    const { client, nodePid } = system;
    const before = await holdings(nodePid);
    for (let i = 0; i < count; i += 10) {
      const made = await Promise.all(
        Array.from({ length: Math.min(10, count - i) }, (_, n) =>
          client.call('stream.create', {
            body: {
              name: `soak-${n}`,
              template: 'lcls-results',
              parameters: { bufferBytes: 65_536, lifetimeSeconds: 600 },
            },
          }),
        ),
      );
      for (const { id } of made) {
        const ready = await client.call('stream.show', { params: { id }, query: { waitSeconds: 20 } });
        assert.equal(ready.state, 'ready', ready.reason);
        await client.call('stream.credential', { params: { id }, body: { role: 'producer' } });
      }
      await Promise.all(made.map(({ id }) => client.call('stream.delete', { params: { id } })));
      for (const { id } of made) {
        const gone = await client.call('stream.show', { params: { id }, query: { waitSeconds: 20 } });
        assert.equal(gone.state, 'released', gone.reason);
      }
    }
    const after = await holdings(nodePid);
    assert.ok(
      after.descriptors <= before.descriptors + SLACK,
      `descriptors grew from ${before.descriptors} to ${after.descriptors} in ${count} cycles`,
    );
    assert.deepEqual((await client.call('stream.list')).streams, []);
    return { mostDescriptors: after.descriptors, mostNodeRssKiB: after.rssKiB };
  },
  async close() {
    await system?.stop();
    system = undefined;
  },
};
