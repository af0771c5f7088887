// A splice that is stopped and goes on at any moment: what passes is what came, in order; while it is stopped nothing beyond the end of a frame passes; every slab comes back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openSlabPool } from './slab.ts';
import { splice } from './splice.ts';

/** Frames of this many octets: `missing` is what is left of one. */
const FRAME = 10;

const act = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('read' as const), count: fc.integer({ min: 1, max: 35 }) }) },
  fc.record({ kind: fc.constantFrom('stop' as const, 'go' as const, 'begin' as const), count: fc.constant(0) }),
);

test('whenever it is stopped and goes on, octets pass whole and in order, and a stop holds at the end of a frame', () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      const pool = openSlabPool();
      const out: number[] = [];
      let came = 0;
      let passed = 0;
      let stopped = false;
      const missing = (): number => (FRAME - (passed % FRAME)) % FRAME;
      const target = {
        ...{ writableLength: 0, destroyed: false, once: () => undefined },
        write(octets: Uint8Array, written: () => void) {
          out.push(...octets);
          written();
          return true;
        },
      };
      const inspect = (octets: Uint8Array): number => {
        passed += octets.length;
        return octets.length;
      };
      const it = splice({ pool, target, resume: () => undefined, inspect, missing });
      for (const { kind, count } of acts) {
        const before = passed;
        const rest = missing();
        if (kind === 'stop') it.stop();
        if (kind === 'go') it.go();
        if (kind === 'begin') it.begin(new Uint8Array());
        if (kind !== 'read') {
          stopped = kind === 'begin' ? stopped : kind === 'stop';
        } else {
          const region = it.region();
          for (let i = 0; i < count; i++) region[i] = came++ % 256;
          const goOn = it.filled(count);
          if (stopped) assert.equal(goOn && missing() === 0, false, 'at the end of a frame it is read no further');
        }
        if (stopped) assert.ok(passed - before <= rest, `${passed - before} passed, ${rest} were missing`);
      }
      it.go();
      it.begin(new Uint8Array());
      assert.deepEqual(
        out,
        Array.from({ length: came }, (_, i) => i % 256),
      );
      assert.equal(it.bytes(), came);
      it.end();
      assert.equal(pool.inUse(), 0);
      pool.close();
    }),
    { numRuns: 1000 },
  );
});

test('one that ends while it is stopped gives everything back', () => {
  const pool = openSlabPool();
  const target = { writableLength: 0, destroyed: false, once: () => undefined, write: () => true };
  const it = splice({ pool, target, resume: () => undefined });
  it.begin(new Uint8Array());
  it.stop();
  it.region();
  assert.equal(it.filled(100), false);
  it.region();
  it.filled(7);
  it.end();
  assert.equal(pool.inUse(), 0);
  pool.close();
});
