// Replicas that share their limits through a real PostgreSQL, on a clock wound by hand.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { sql } from 'kysely';
import { testDatabase } from '../../database/testing.ts';
import { databaseSource, pruneRateBuckets, rateBucketMigrations } from './rate-bucket-store.ts';
import { replicasOn, total } from './replicas.fixture.ts';

const { database } = await testDatabase({ after }, [{ room: 'policy', migrations: rateBucketMigrations }]);
const db = database.kysely;
const replicas = (count: number) => replicasOn((clock) => databaseSource(db, () => new Date(clock.now())), count);
const SECONDS = 10;

for (const [name, perSecond] of [
  ['two replicas, evenly loaded', [300, 300]],
  ['two replicas, nearly all on one', [590, 10]],
  ['three replicas, evenly loaded', [200, 200, 200]],
  ['three replicas, one hot, one warm, one idle', [500, 60, 0]],
] as const)
  test(`${name}: within a tenth of the configured rate over ten seconds`, async () => {
    const limit = { key: `token/${name}`, rate: { perSecond: 100, burst: 100 } };
    const them = replicas(perSecond.length);
    const first = total(await them.run({ ms: SECONDS * 1000, perSecond, limit }));
    assert.ok(first <= 100 + 100 * SECONDS, `${first}: never more than one bucket`);
    const second = total(await them.run({ ms: SECONDS * 1000, perSecond, limit }));
    assert.ok(Math.abs(second - 100 * SECONDS) <= 0.1 * 100 * SECONDS, `${second} of ${100 * SECONDS}`);
    for (const lease of them.leases) await lease.close();
  });

test('many keys of different heat go in one statement, each within its own limit', async () => {
  const them = replicas(2);
  const limits = Array.from({ length: 50 }, (_, i) => ({ key: `spread/${i}`, rate: { perSecond: 10, burst: 20 } }));
  const admitted = new Map<string, number>();
  for (let step = 0; step < 200; step++) {
    await Promise.all(
      them.leases.flatMap((lease) =>
        limits.map(async (limit, i) => {
          // The first are asked in every step, the last in every fiftieth.
          if (step % (i + 1) !== 0) return;
          const verdict = await lease.take([limit]);
          if (verdict.kind === 'admitted') admitted.set(limit.key, (admitted.get(limit.key) ?? 0) + 1);
        }),
      ),
    );
    them.clock.advance(10);
  }
  for (const [i, { key }] of limits.entries()) {
    const asked = 2 * Math.ceil(200 / (i + 1));
    const count = admitted.get(key) ?? 0;
    assert.ok(count <= 20 + 10 * 2 + 1e-6 && count >= Math.min(asked, 40) * 0.8 - 2, `${key}: ${count} of ${asked}`);
  }
  for (const lease of them.leases) await lease.close();
});

test('two replicas that lease the same keys at the same time neither deadlock nor give a permit twice', async () => {
  const source = databaseSource(db);
  const rate = { perSecond: 0.01, burst: 36 };
  const keys = Array.from({ length: 20 }, (_, i) => `both/${i}`);
  const grants = await Promise.all(
    Array.from({ length: 8 }, (_, i) =>
      source.exchange((i % 2 === 0 ? keys : keys.toReversed()).map((key) => ({ key, rate, want: 10 }))),
    ),
  );
  for (const key of keys) assert.equal(total(grants.flat().map((g) => (g.key === key ? g.granted : 0))), 36);
});

test('a bucket whose limit was changed follows the new one, and full ones are forgotten', async () => {
  const source = databaseSource(db);
  await source.exchange([{ key: 'changed', rate: { perSecond: 1, burst: 100 }, want: 10 }]);
  const [grant] = await source.exchange([{ key: 'changed', rate: { perSecond: 1, burst: 5 }, want: 10 }]);
  assert.equal(grant?.granted, 5);
  await sql`update policy_rate_bucket set at = clock_timestamp() - interval '2 hours' where key = 'changed'`.execute(
    db,
  );
  await pruneRateBuckets(db);
  const { rows } = await sql`select from policy_rate_bucket where key = 'changed'`.execute(db);
  assert.equal(rows.length, 0);
});
