import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditEntry, AuditLog } from '../audit/index.ts';
import { handWoundClock } from '../clock.ts';
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
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('denials of unknown callers are counted and written once a minute, one record for each operation, address and status', async () => {
  const log = fakeLog();
  const clock = handWoundClock();
  const tally = openDenialTally(log, clock);
  for (let i = 0; i < 1000; i++) tally.count('job.list', '127.0.0.1', 401);
  tally.count('job.list', '127.0.0.2', 401);
  tally.count('job.show', '127.0.0.1', 401);
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
  for (let i = 0; i < 12_000; i++) tally.count('job.list', `2001:db8::${i.toString(16)}`, 401);
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
  tally.count('job.list', '127.0.0.1', 401);
  log.broken = true;
  await assert.rejects(tally.flush(), /no database/);
  tally.count('job.list', '127.0.0.1', 401);
  log.broken = false;
  await tally.flush();
  assert.deepEqual(
    log.entries.map((e) => e.detail['times']),
    [2],
  );
  tally.stop();
});
