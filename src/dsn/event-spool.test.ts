import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { handWoundClock } from '../clock.ts';
import { eventSpool } from './event-spool.ts';

const refused = (reason: string, stream = 'str_a') => ({ stream, kind: 'refused', detail: { reason } });

test('a flood of refusals is one event with a count, by stream and reason', () => {
  const spool = eventSpool(handWoundClock(), []);
  for (let i = 0; i < 10_000; i++) spool.add(refused('wrong password'));
  spool.add(refused('not listed'));
  spool.add(refused('wrong password', 'str_b'));
  assert.deepEqual(
    spool.waiting().map(({ stream, detail }) => ({ stream, detail })),
    [
      { stream: 'str_a', detail: { reason: 'wrong password', times: 10_000 } },
      { stream: 'str_a', detail: { reason: 'not listed' } },
      { stream: 'str_b', detail: { reason: 'wrong password' } },
    ],
  );
});

test('what only we cause is never folded', () => {
  const spool = eventSpool(handWoundClock(), []);
  for (let i = 0; i < 3; i++) spool.add({ stream: 'str_a', kind: 'claimed', detail: { job: 'job_a' } });
  assert.equal(spool.waiting().length, 3);
});

test('an event that is on its way is not changed any more', () => {
  const spool = eventSpool(handWoundClock(), []);
  spool.add(refused('wrong password'));
  const sent = structuredClone(spool.waiting());
  spool.add(refused('wrong password'));
  const now = spool.waiting();
  assert.deepEqual(now[0], sent[0]);
  assert.equal(now.length, 2);
  spool.delivered(sent.map((e) => e.id));
  assert.deepEqual(spool.waiting(), [now[1]]);
});

test('the spool is bounded, and the next event that fits says how many were lost before it', () => {
  const spool = eventSpool(handWoundClock(), []);
  const add = (n: number): void => spool.add({ stream: 'str_a', kind: 'closed', detail: { n } });
  for (let n = 0; n < 2100; n++) add(n);
  assert.equal(spool.waiting().length, 2000);
  spool.delivered([spool.waiting()[0]?.id ?? '']);
  add(2100);
  assert.deepEqual(spool.waiting().at(-1)?.detail, { n: 2100, lostBefore: 100 });
  spool.delivered(spool.waiting().map((e) => e.id));
  add(2101);
  assert.deepEqual(spool.waiting().at(-1)?.detail, { n: 2101 });
});

test('whatever happens, every refusal is counted once until it is delivered', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('add' as const), reason: fc.constantFrom('a', 'b') }),
    fc.record({ do: fc.constant('send' as const) }),
    fc.record({ do: fc.constant('accept' as const), share: fc.nat(3) }),
  );
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const spool = eventSpool(handWoundClock(), []);
      let added = 0;
      let delivered = 0;
      let sent: string[] = [];
      const times = (e: { readonly detail: Readonly<Record<string, unknown>> }): number =>
        Number(e.detail['times'] ?? 1);
      for (const s of steps) {
        if (s.do === 'add') {
          spool.add(refused(s.reason));
          added += 1;
        } else if (s.do === 'send') sent = spool.waiting().map((e) => e.id);
        else {
          const ids = sent.slice(0, s.share);
          for (const e of spool.waiting()) if (ids.includes(e.id)) delivered += times(e);
          spool.delivered(ids);
        }
      }
      assert.equal(delivered + spool.waiting().reduce((sum, e) => sum + times(e), 0), added);
    }),
  );
});

test('events of before a restart are kept, in order', () => {
  const first = eventSpool(handWoundClock(5), []);
  first.add({ stream: 'str_a', kind: 'closed', detail: {} });
  const second = eventSpool(handWoundClock(9), [...first.waiting()]);
  second.add({ stream: 'str_b', kind: 'closed', detail: {} });
  assert.deepEqual(
    second.waiting().map(({ stream, atMs }) => ({ stream, atMs })),
    [
      { stream: 'str_a', atMs: 5 },
      { stream: 'str_b', atMs: 9 },
    ],
  );
});
