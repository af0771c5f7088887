import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditEntry, AuditLog } from '../audit/index.ts';
import { handWoundClock } from '../clock.ts';
import type { TokenCaller } from '../identity/index.ts';
import { openDenialTally } from './denial-tally.ts';

/** A fake audit log: keeps what it is given, or refuses while `broken`. */
function fakeLog(): AuditLog & { readonly entries: AuditEntry[]; broken: boolean } {
  return {
    entries: [],
    broken: false,
    async append(entry) {
      if (this.broken) throw new Error('no database');
      this.entries.push(entry);
    },
    async flush() {},
  };
}
const token = (id: string, project: string): TokenCaller => ({
  kind: 'token',
  id,
  subject: 'ada',
  project,
  enclave: 'open',
  environments: ['ace'],
  scopes: [],
  purpose: '',
  classification: 'public',
});
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('denials of unknown callers are counted and written once a minute, one record for each operation, address and status', async () => {
  const log = fakeLog();
  const clock = handWoundClock();
  const tally = openDenialTally(log, clock);
  for (let i = 0; i < 1000; i++) tally.count({ operation: 'job.list', address: '127.0.0.1', status: 401 });
  tally.count({ operation: 'job.list', address: '127.0.0.2', status: 401 });
  tally.count({ operation: 'job.show', address: '127.0.0.1', status: 401 });
  assert.equal(log.entries.length, 0);
  clock.advance(60_000);
  await turn();
  assert.deepEqual(
    log.entries.map((e) => [e.action, e.status, e.phase, e.callerKind, e.detail]),
    [
      ['job.list', 401, 'denied', 'anonymous', { from: '127.0.0.1', times: 1000 }],
      ['job.list', 401, 'denied', 'anonymous', { from: '127.0.0.2', times: 1 }],
      ['job.show', 401, 'denied', 'anonymous', { from: '127.0.0.1', times: 1 }],
    ],
  );
  clock.advance(60_000);
  await turn();
  assert.equal(log.entries.length, 3, 'nothing is written where nothing was denied');
  tally.stop();
});

test('more addresses than can be remembered are counted together, and none is lost', async () => {
  const log = fakeLog();
  const tally = openDenialTally(log, handWoundClock());
  for (let i = 0; i < 12_000; i++)
    tally.count({ operation: 'job.list', address: `2001:db8::${i.toString(16)}`, status: 401 });
  await tally.flush();
  assert.ok(log.entries.length <= 10_001);
  const many = log.entries.find((e) => e.detail['from'] === '(many)');
  assert.equal(many?.detail['times'], 2000);
  assert.equal(
    log.entries.reduce((sum, e) => sum + Number(e.detail['times']), 0),
    12_000,
  );
  tally.stop();
});

test('what could not be written is told with the next minute’s', async () => {
  const log = fakeLog();
  const tally = openDenialTally(log, handWoundClock());
  tally.count({ operation: 'job.list', address: '127.0.0.1', status: 401 });
  log.broken = true;
  await assert.rejects(tally.flush(), /no database/);
  tally.count({ operation: 'job.list', address: '127.0.0.1', status: 401 });
  log.broken = false;
  await tally.flush();
  assert.deepEqual(
    log.entries.map((e) => e.detail['times']),
    [2],
  );
  tally.stop();
});

test('denials of tokens are counted apart, each with its token, its person and its project', async () => {
  const log = fakeLog();
  const tally = openDenialTally(log, handWoundClock());
  const of = { operation: 'job.list', address: '127.0.0.1', status: 403 };
  tally.count(of);
  for (const [id, project] of [
    ['tok_a', 'demo'],
    ['tok_b', 'beamtime'],
    ['tok_a', 'demo'],
  ] as const)
    tally.count({ ...of, caller: token(id, project) });
  tally.count({ ...of, status: 429, caller: token('tok_a', 'demo') });
  await tally.flush();
  assert.deepEqual(
    log.entries.map((e) => [e.callerKind, e.callerId, e.subject, e.project, e.status, e.detail['times']]),
    [
      ['anonymous', 'anonymous', 'anonymous', null, 403, 1],
      ['token', 'tok_a', 'ada', 'demo', 403, 2],
      ['token', 'tok_b', 'ada', 'beamtime', 403, 1],
      ['token', 'tok_a', 'ada', 'demo', 429, 1],
    ],
  );
  tally.stop();
});

test('more tokens than can be remembered are counted together, apart from callers that nobody knows', async () => {
  const log = fakeLog();
  const tally = openDenialTally(log, handWoundClock());
  const of = { operation: 'job.list', address: '127.0.0.1', status: 403 };
  for (let i = 0; i < 12_000; i++) tally.count({ ...of, caller: token(`tok_${i}`, 'demo') });
  tally.count(of);
  tally.count({ ...of, caller: token('tok_1', 'demo') });
  await tally.flush();
  assert.equal(log.entries.length, 10_002);
  const many = log.entries.filter((e) => e.detail['from'] === '(many)');
  assert.deepEqual(
    many.map((e) => [e.callerKind, e.callerId, e.project, e.detail['times']]),
    [
      ['token', '(many)', null, 2000],
      ['anonymous', 'anonymous', null, 1],
    ],
  );
  assert.equal(log.entries.find((e) => e.callerId === 'tok_1')?.detail['times'], 2);
  tally.stop();
});

test('of a token’s tries from a wrong address five a minute are recorded in full', () => {
  const clock = handWoundClock();
  const tally = openDenialTally(fakeLog(), clock);
  const recorded = (id: string): number =>
    Array.from({ length: 100 }, () => tally.mayRecord(id)).filter(Boolean).length;
  assert.deepEqual([recorded('tok_a'), recorded('tok_a'), recorded('tok_b')], [5, 0, 5]);
  clock.advance(60_000);
  assert.equal(recorded('tok_a'), 5);
  tally.stop();
});
