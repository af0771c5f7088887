/** Timers and queued work on pg-boss, under the application's role. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../clock.ts';
import type { Database } from './connect.ts';
import { databaseMigrations } from './outbox/migrations.ts';
import { type Queue, type QueuePayload, startQueue } from './queue.ts';
import { testDatabase } from './testing.ts';
import { transaction } from './transaction.ts';
import { until } from './wait.ts';

const patience = { clock: systemClock, timeoutMs: 15_000 };

async function open(t: TestContext): Promise<{ database: Database; queue: Queue }> {
  const { database } = await testDatabase(t, [databaseMigrations]);
  const queue = await startQueue(database);
  t.after(() => queue.stop());
  return { database, queue };
}

const reached = async (seen: readonly unknown[], count: number): Promise<void> => {
  assert.ok(
    await until(patience, () => (seen.length >= count ? true : undefined)),
    `${seen.length} of ${count} jobs ran`,
  );
};

test('a job runs, a timer runs not before its time, and one that fails comes again', async (t) => {
  const { queue } = await open(t);
  const ran: { payload: QueuePayload; at: number; retries: number }[] = [];
  await queue.work('work', async (job) => {
    ran.push({ payload: job.payload, at: systemClock.now(), retries: job.retries });
    if (job.payload['fails'] === true && job.retries === 0) throw new Error('first time');
  });
  const due = new Date(systemClock.now() + 700);
  await queue.after('work', { timer: true }, { startAfter: due });
  await queue.after('work', { fails: true });
  await reached(ran, 3);
  assert.deepEqual(
    ran.filter((r) => r.payload['fails']).map((r) => r.retries),
    [0, 1],
  );
  const timer = ran.find((r) => r.payload['timer'] === true) ?? assert.fail('the timer did not run');
  assert.ok(timer.at >= due.getTime());
});

test('a job queued in a transaction exists if that commits', async (t) => {
  const { database, queue } = await open(t);
  const ran: unknown[] = [];
  await queue.work('work', async (job) => void ran.push(job.payload['n']));
  const enqueue = (n: number, fails: boolean): Promise<void> =>
    transaction(database.kysely, async (trx) => {
      await queue.after('work', { n }, { trx });
      if (fails) throw new Error('rolled back');
    });
  await assert.rejects(enqueue(1, true), /rolled back/);
  await enqueue(2, false);
  await reached(ran, 1);
  assert.deepEqual(ran, [2]);
});

test('a timer with a key is replaced, not doubled', async (t) => {
  const { queue } = await open(t);
  const far = new Date(systemClock.now() + 3_600_000);
  const first = await queue.after('work', { n: 1 }, { singletonKey: 'str_1', startAfter: far });
  const other = await queue.after('work', { n: 2 }, { singletonKey: 'str_2', startAfter: far });
  assert.equal(await queue.after('work', { n: 3 }, { singletonKey: 'str_1' }), first);
  assert.notEqual(other, first);
  const ran: unknown[] = [];
  await queue.work('work', async (job) => void ran.push(job.payload['n']));
  await reached(ran, 1);
  assert.deepEqual(ran, [3]);
});

test('two replicas start at once, and each job runs in one of them', async (t) => {
  const { database } = await testDatabase(t, [databaseMigrations]);
  const replicas = await Promise.all([startQueue(database), startQueue(database)]);
  t.after(() => Promise.all(replicas.map((q) => q.stop())));
  const ran: unknown[] = [];
  for (const queue of replicas)
    await queue.work('work', async (job) => void ran.push(job.payload['n']), { concurrency: 2 });
  await Promise.all(Array.from({ length: 20 }, (_, n) => replicas[n % 2]?.after('work', { n })));
  await reached(ran, 20);
  assert.deepEqual(new Set(ran).size, 20);
});
