import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AuditEntry, CHAIN_START, chainDigest, storable } from './record.ts';
import { redact } from './redact.ts';

const entry = (change: Partial<AuditEntry> = {}): AuditEntry => ({
  at: new Date('2026-01-01T00:00:00Z'),
  requestId: 'req_1',
  phase: 'intent',
  callerKind: 'token',
  callerId: 'tok_1',
  subject: 'ada',
  project: 'demo',
  action: 'job.submit',
  resource: 'job/job_1',
  status: null,
  detail: {},
  ...change,
});
const digest = (change: Partial<AuditEntry> = {}, sequence = 1): string =>
  chainDigest(CHAIN_START, sequence, storable(entry(change))).toString('hex');

test('a digest changes with every field, with the sequence number and with what came before', () => {
  const changes: Partial<AuditEntry>[] = [
    { at: new Date(1) },
    { requestId: 'req_2' },
    { phase: 'outcome' },
    { callerKind: 'session' },
    { callerId: 'tok_2' },
    { subject: 'bob' },
    { project: null },
    { action: 'job.cancel' },
    { resource: '' },
    { status: 201 },
    { detail: { a: 1 } },
  ];
  const digests = new Set([digest(), digest({}, 2), ...changes.map((c) => digest(c))]);
  digests.add(chainDigest(Buffer.alloc(32, 1), 1, storable(entry())).toString('hex'));
  assert.equal(digests.size, changes.length + 3);
});

test('text cannot be moved from one field into the next', () => {
  assert.notEqual(digest({ action: 'a', resource: 'b' }), digest({ action: 'ab', resource: '' }));
  assert.notEqual(digest({ action: 'a","b', resource: 'c' }), digest({ action: 'a', resource: 'b","c' }));
});

test('any text becomes text that a database holds and gives back unchanged', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
      const { subject, resource, detailText } = storable(
        entry({ subject: `${a}\0\ud800`, resource: b, detail: { a, b } }),
      );
      for (const text of [subject, resource, detailText]) {
        assert.ok(!text.includes('\0'));
        assert.equal(Buffer.from(text, 'utf8').toString('utf8'), text);
      }
    }),
  );
});

test('a record without a time, or with a detail that cannot be written, is refused by itself', () => {
  assert.throws(() => storable(entry({ at: new Date(Number.NaN) })), RangeError);
  let deep: unknown = 1;
  for (let i = 0; i < 100_000; i++) deep = [deep];
  assert.throws(() => storable(entry({ detail: { deep } })), RangeError);
});

test('fields default to secret: only what is listed is kept, of the rest its type', () => {
  const body = {
    name: 'x',
    script: '#!/bin/sh\nexport PASSWORD=1',
    list: [1, 2],
    nothing: null,
    count: 3,
    own: { a: 1 },
  };
  assert.deepEqual(redact(body, ['name', 'absent']), {
    name: 'x',
    script: '[string]',
    list: '[array of 2]',
    nothing: '[null]',
    count: '[number]',
    own: '[object]',
  });
  for (const none of [undefined, null, 'text', [1], 7]) assert.deepEqual(redact(none, ['name']), {});
});

test('whatever a body holds, no text of an unlisted field stands in the record', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.constantFrom('s3cret-a', { deep: 's3cret-b' }, ['s3cret-c'])), (body) => {
      assert.doesNotMatch(JSON.stringify(redact(body, [])), /s3cret/);
    }),
  );
});
