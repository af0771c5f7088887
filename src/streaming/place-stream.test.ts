import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type NodeLoad, placeStream } from './place-stream.ts';

const load = (
  name: string,
  change: Partial<Omit<NodeLoad, 'node'>> = {},
  capacity = { streams: 3, bufferBytes: 1000 },
): NodeLoad => ({
  node: { name, external: 'external', compute: 'compute', hostnames: [], capacity, ports: { from: 0, to: 0 } },
  linked: true,
  streams: 0,
  bufferBytes: 0,
  engines: undefined,
  ...change,
});

const loads = fc
  .array(
    fc
      .record({
        linked: fc.boolean(),
        streams: fc.nat(5),
        bufferBytes: fc.nat(1200),
        most: fc.integer({ min: 1, max: 5 }),
        room: fc.integer({ min: 1, max: 1200 }),
      })
      .map(({ most, room, ...rest }) => ({ rest, capacity: { streams: most, bufferBytes: room } })),
    { maxLength: 6 },
  )
  .map((list) => list.map(({ rest, capacity }, i) => load(`dsn${i}`, rest, capacity)));

test('no placement goes beyond a capacity, and one is found wherever there is room', () => {
  fc.assert(
    fc.property(loads, fc.integer({ min: 1, max: 1200 }), (those, wanted) => {
      const fits = those.filter(
        (l) => l.linked && l.streams < l.node.capacity.streams && l.bufferBytes + wanted <= l.node.capacity.bufferBytes,
      );
      const placed = placeStream(those, { engine: 'relay', bufferBytes: wanted });
      if ('why' in placed) return assert.deepEqual(fits, []);
      const chosen = fits.find((l) => l.node.name === placed.node);
      assert.ok(chosen !== undefined);
      const left = (l: NodeLoad): number => l.node.capacity.bufferBytes - l.bufferBytes;
      assert.ok(
        fits.every((l) => left(l) <= left(chosen)),
        'the node with the most buffer left is taken',
      );
    }),
  );
});

test('however many are placed one after the other, no node carries more than it can', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 700 }), { maxLength: 20 }), (wishes) => {
      let those: readonly NodeLoad[] = [load('dsn0'), load('dsn1')];
      for (const wish of wishes) {
        const placed = placeStream(those, { engine: 'relay', bufferBytes: wish });
        if ('why' in placed) continue;
        those = those.map((l) =>
          l.node.name === placed.node ? { ...l, streams: l.streams + 1, bufferBytes: l.bufferBytes + wish } : l,
        );
      }
      for (const l of those) assert.ok(l.streams <= 3 && l.bufferBytes <= 1000);
    }),
  );
});

test('a refusal says of every node why', () => {
  fc.assert(
    fc.property(loads, fc.integer({ min: 1, max: 1200 }), (those, wanted) => {
      const placed = placeStream(those, { engine: 'relay', bufferBytes: wanted });
      if ('node' in placed) return;
      for (const { node } of those) assert.ok(placed.why.includes(node.name), placed.why);
    }),
  );
  const placed = placeStream(
    [
      load('away', { linked: false }),
      load('full', { streams: 3 }),
      load('tight', { bufferBytes: 950 }),
      load('bare', { engines: ['relay'] }),
    ],
    { engine: 'rabbitmq', bufferBytes: 100 },
  );
  assert.deepEqual(placed, {
    why: 'away is not linked; full carries its 3 streams; tight has 50 buffer bytes left; bare has no rabbitmq (it has relay)',
  });
  assert.deepEqual(placeStream([], { engine: 'relay', bufferBytes: 1 }), {
    why: 'the facility has no data streaming node',
  });
});
