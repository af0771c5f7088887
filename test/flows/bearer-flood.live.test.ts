/** A whole server under bearers that nobody knows, while the database answers no look-up: whoever it knows is still served. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { transaction } from '../../src/database/index.ts';
import { newBearer } from '../../src/identity/index.ts';
import { asOwner, eventually, startApiServer } from './api-server.ts';

/** More than the server has connections. */
const STRANGERS = 40;
/** A second is four: so many mean that a bearer would be refused without them. */
const EPOCH_READS = 6;
const JOBS = '/beamway/v1/jobs';

test('strangers whose look-ups hang take neither the epoch’s connection nor all the others', async (t) => {
  const api = await startApiServer(t);
  const known = await api.token();
  assert.equal((await api.ask(JOBS, { bearer: known })).status, 200);
  const activity = async (where: string): Promise<readonly string[]> => {
    const { rows } = await sql<{ at: string }>`select query_start::text as at from pg_stat_activity
      where datname = current_database() and ${sql.raw(where)}`.execute(api.database.kysely);
    return rows.map((row) => row.at);
  };
  let strangers: Promise<number[]> = Promise.resolve([]);
  await asOwner(api, (owner) =>
    transaction(owner.kysely, async (trx) => {
      await sql`lock table identity_token in access exclusive mode`.execute(trx);
      strangers = Promise.all(
        Array.from({ length: STRANGERS }, async () => (await api.ask(JOBS, { bearer: newBearer('token') })).status),
      );
      const hanging = (): Promise<readonly string[]> =>
        activity(`wait_event_type = 'Lock' and query like '%"digest" = %'`);
      await eventually('look-ups hang', async () => ((await hanging()).length === 4 ? true : undefined));
      const read = new Set<string>();
      await eventually('the epoch is read again and again', async () => {
        for (const at of await activity(`application_name = 'beamway-epoch'`)) read.add(at);
        return read.size >= EPOCH_READS ? true : undefined;
      });
      assert.equal((await api.ask(JOBS, { bearer: known })).status, 200);
      assert.equal((await hanging()).length, 4);
    }),
  );
  assert.deepEqual([...new Set(await strangers)], [401]);
  await api.stop();
  assert.deepEqual(await activity(`application_name = 'beamway-epoch'`), []);
});
