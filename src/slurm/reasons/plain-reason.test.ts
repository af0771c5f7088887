// Every reason that Slurm 22.05.8 and 26.11 can give is said in words. The names are read out of Slurm's sources: job_reason_string of src/common/slurm_protocol_defs.c at
// slurm-22-05-8-1, and the table of src/common/job_state_reason.c at 284c3b95f08a (26.11.0-0rc1).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import type { QueueRow } from '../batch-order.ts';
import { limitIn, limitText } from './limit-name.ts';
import { plainReason } from './plain-reason.ts';

const NAMES = readFileSync(new URL('slurm-reason-names.txt', import.meta.url), 'utf8')
  .trim()
  .split('\n');
const NOON = Date.parse('2026-11-23T12:00:00Z');
const HOUR = 3_600_000;
const row = (change: Partial<QueueRow>): QueueRow => ({
  jobId: '7',
  name: 'a',
  user: 'u',
  account: 'demo',
  qos: 'urgent',
  partition: 'batch',
  state: 'PENDING',
  reasonCode: '',
  comment: '',
  priority: 1,
  restarts: 0,
  requeue: true,
  nodes: 1,
  nodeNames: [],
  submitMs: NOON - HOUR,
  ...change,
});
const say = (change: Partial<QueueRow>, reservations: Parameters<typeof plainReason>[1]['reservations'] = []): string =>
  plainReason(row(change), { reservations, nowMs: NOON });

test('each name of Slurm’s own table has words of ours, not the name alone', () => {
  assert.equal(NAMES.length, 221);
  const bare = NAMES.filter((name) => say({ reasonCode: name }) === `waiting: ${name}`);
  assert.deepEqual(bare, []);
});

test('each name of a limit is known as one, and named in the sentence', () => {
  const names = NAMES.filter((n) => /^(QOS(?!NotAllowed)|Assoc|Max(?!PoweredUp))/.test(n));
  assert.equal(names.length, 170);
  for (const name of names) {
    assert.equal(limitIn(name), name);
    assert.match(say({ reasonCode: name }), new RegExp(`\\(${name}\\)$`));
  }
});

test('what a limit counts is its resource, not for whom it is counted', () => {
  assert.equal(limitText('QOSMaxMemoryPerNode'), 'its QoS allows no more memory on each node');
  assert.equal(limitText('QOSMaxNodePerUserLimit'), 'its QoS allows no more nodes for each user');
  assert.equal(
    limitText('MaxGRESPerAccount'),
    'its QoS allows no more generic resources such as GPUs for each account',
  );
  assert.equal(limitText('QOSGrpNodeLimit'), 'its QoS allows no more nodes for all its jobs together');
  assert.equal(
    limitText('AssocGrpCPUMinutesLimit'),
    'its account allows no more processor minutes for all its jobs together',
  );
  assert.equal(limitText('QOSMinCpuNotSatisfied'), 'its QoS asks for more processors than it wants');
});

test('a maintenance reservation says until when', () => {
  const reasonCode = 'ReqNodeNotAvail, Reserved for maintenance';
  const maintenance = { name: 'm', startMs: NOON - HOUR, endMs: NOON + 2 * HOUR, flags: ['MAINT', 'IGNORE_JOBS'] };
  assert.equal(say({ reasonCode }, [maintenance]), 'waiting: reserved for maintenance until 2026-11-23 14:00 UTC');
  assert.equal(say({ reasonCode }), 'waiting: reserved for maintenance');
});

test('a job that waits its turn says when it is expected, and one that runs says nothing', () => {
  assert.match(say({ reasonCode: 'Priority', startMs: NOON + HOUR }), /; expected at 2026-11-23 13:00 UTC$/);
  assert.equal(say({ reasonCode: 'Priority', startMs: NOON - HOUR }), 'waiting: jobs of higher priority are before it');
  assert.equal(say({ state: 'RUNNING' }), '');
});

test('no state and no reason make it throw', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (state, reasonCode) => {
      assert.equal(typeof say({ state, reasonCode }), 'string');
      assert.equal(typeof say({ reasonCode }), 'string');
    }),
  );
});
