/** What a replica's verifier asks of the database, and when: renewed tokens whose old end it remembers, and floods of bearers that nobody knows. */
import assert from 'node:assert/strict';
import { after, type TestContext, test } from 'node:test';
import { type KyselyPlugin, sql } from 'kysely';
import { type HandWoundClock, handWoundClock, systemClock } from '../clock.ts';
import { databaseMigrations, openDatabase, type Queries, silentLog, transaction } from '../database/index.ts';
import { testDatabase } from '../database/testing.ts';
import { Problem } from '../problems.ts';
import { readEpoch } from './epoch-store.ts';
import {
  type IssuedToken,
  type IssueTokenInput,
  identityMigrations,
  issueToken,
  newBearer,
  openTokenVerifier,
  renewToken,
  revokeToken,
  rotateToken,
  systemCaller,
  type TokenVerifier,
} from './index.ts';
import { setTokenEnd } from './store.ts';
import { exampleFacility as facility, exampleRules as rules } from './token.fixture.ts';
import { callerOf } from './token.ts';

const { database, embedded } = await testDatabase({ after }, [
  databaseMigrations,
  { room: 'identity', migrations: identityMigrations },
]);
const db = database.kysely;

interface Replica {
  readonly clock: HandWoundClock;
  readonly verifier: TokenVerifier;
  /** Look-ups of bearers since the last call. */
  looked(): number;
  /** Answers of the database wait from here on until they are released; `came` is when the first has come. */
  hold(): { readonly came: Promise<void>; release(): void };
}

async function replica(t: TestContext, of: { readonly clock?: HandWoundClock } = {}): Promise<Replica> {
  const clock = of.clock ?? handWoundClock(systemClock.now());
  let looked = 0;
  let answer = (): Promise<void> => Promise.resolve();
  const plugin: KyselyPlugin = {
    transformQuery({ node }) {
      if (node.kind === 'SelectQueryNode' && JSON.stringify(node).includes('"identity_token"')) looked += 1;
      return node;
    },
    async transformResult({ result }) {
      await answer();
      return result;
    },
  };
  const verifier = await openTokenVerifier(db.withPlugin(plugin), clock, { epochDb: db });
  t.after(() => verifier.stop());
  return {
    clock,
    verifier,
    looked() {
      const times = looked;
      looked = 0;
      return times;
    },
    hold() {
      const [came, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      answer = () => {
        came.resolve();
        return released.promise;
      };
      return { came: came.promise, release: released.resolve };
    },
  };
}

const mint = (clock: HandWoundClock, change: Partial<IssueTokenInput> = {}): Promise<IssuedToken> =>
  issueToken({ db, clock, facility, rules }, systemCaller('test'), {
    project: 'demo',
    environments: ['ace'],
    scopes: ['job:read'],
    lifetimeSeconds: 600,
    renewableDays: 1,
    ...change,
  });
const codeOf = (verifier: TokenVerifier, text: string): Promise<string> =>
  verifier.verify(text).then(
    (caller) => caller.kind,
    (thrown: unknown) => (thrown instanceof Problem ? thrown.code : String(thrown)),
  );
const epoch = async (): Promise<number> => (await readEpoch(db)).value;
/** As a tick would. */
async function pass(of: Replica, ms: number): Promise<void> {
  of.clock.advance(ms);
  await of.verifier.refresh();
}

test('a renewal leaves what replicas remember of bearers alone, and the token goes on where its old end was remembered', async (t) => {
  const here = await replica(t);
  const there = await replica(t, { clock: here.clock });
  const [service, other] = [await mint(here.clock), await mint(here.clock, { lifetimeSeconds: 3600 })];
  for (const { value } of [service, other]) assert.equal(await codeOf(there.verifier, value), 'token');
  await pass(there, 590_000);
  const before = await epoch();
  await renewToken({ ...here, db, facility, rules }, callerOf(service.token), {});
  assert.equal(await epoch(), before);
  await pass(there, 20_000);
  there.looked();
  assert.equal(await codeOf(there.verifier, other.value), 'token');
  assert.equal(there.looked(), 0, 'the others are still remembered');
  assert.equal(await codeOf(there.verifier, service.value), 'token');
  assert.equal(await codeOf(there.verifier, service.value), 'token');
  assert.equal(there.looked(), 1, 'the new end is remembered');
});

test('a token that has ended costs one look-up in 250 ms, and one renewed by a clock that is behind is believed after that', async (t) => {
  const [behind, ahead] = [await replica(t), await replica(t)];
  const { token, value } = await mint(behind.clock);
  assert.equal(await codeOf(ahead.verifier, value), 'token');
  await pass(ahead, 600_000);
  ahead.looked();
  const codes = await Promise.all(Array.from({ length: 50 }, () => codeOf(ahead.verifier, value)));
  assert.deepEqual([...new Set(codes)], ['token-expired']);
  await pass(ahead, 249);
  assert.equal(await codeOf(ahead.verifier, value), 'token-expired');
  assert.equal(ahead.looked(), 1);
  await pass(behind, 599_000);
  await renewToken({ ...behind, db, facility, rules }, callerOf(token), {});
  assert.equal(await codeOf(ahead.verifier, value), 'token-expired');
  await pass(ahead, 1);
  assert.equal(await codeOf(ahead.verifier, value), 'token');
  assert.equal(ahead.looked(), 1);
});

test('the epoch moves where a token is rotated, and where an end shrinks', async (t) => {
  const { clock, verifier } = await replica(t);
  const { token } = await mint(clock);
  const before = await epoch();
  await rotateToken({ db, clock, verifier }, callerOf(token), { overlapSeconds: 86_400 });
  assert.equal(await epoch(), before + 1, 'its renewal ends, though its end does not move');
  const { token: other } = await mint(clock);
  const end = (ms: number) =>
    transaction(db, (trx) => setTokenEnd(trx, other, { expiresAt: new Date(other.expiresAt.getTime() + ms) }));
  await end(1000);
  assert.equal(await epoch(), before + 1);
  await end(-1);
  assert.equal(await epoch(), before + 2);
});

test('a reading of the epoch that a later one has overtaken counts no more', async (t) => {
  const clock = handWoundClock(systemClock.now());
  const [came, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let answer = (): Promise<void> => Promise.resolve();
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      await answer();
      return result;
    },
  };
  const verifier = await openTokenVerifier(db, clock, { epochDb: db.withPlugin(plugin) });
  t.after(() => verifier.stop());
  answer = () => {
    came.resolve();
    return released.promise;
  };
  const early = verifier.refresh();
  await came.promise;
  answer = () => Promise.resolve();
  clock.advance(1);
  await sql`update identity_epoch set value = value + 1, lockdown_at = now()`.execute(db);
  await verifier.refresh();
  assert.equal(verifier.lockedDown(), true);
  released.resolve();
  await early;
  assert.equal(verifier.lockedDown(), true);
  await sql`update identity_epoch set lockdown_at = null`.execute(db);
});

test('who asks for one bearer at the same time waits for one look-up; who asks after a revocation does not wait for one from before', async (t) => {
  const there = await replica(t);
  const { clock, verifier } = there;
  const { token, value } = await mint(clock);
  const { came, release } = there.hold();
  const early = Array.from({ length: 50 }, () => codeOf(verifier, value));
  await came;
  assert.equal(there.looked(), 1);
  await revokeToken({ db, clock, verifier }, systemCaller('test'), token.id);
  const late = [codeOf(verifier, value), codeOf(verifier, value)];
  release();
  assert.deepEqual([...new Set(await Promise.all(early))], ['token'], 'the row was read while the token was alive');
  assert.deepEqual(await Promise.all(late), ['token-revoked', 'token-revoked']);
  assert.equal(there.looked(), 1);
  assert.equal(await codeOf(verifier, value), 'token-revoked', 'what was read before the revocation is not remembered');
});

test('a flood of bearers that nobody knows holds four connections, refuses what it cannot queue, and stops neither the epoch nor whoever is known', async (t) => {
  const open = (maxConnections: number): Queries => {
    const opened = openDatabase({ embedded }, { clock: systemClock, log: silentLog, maxConnections });
    t.after(() => opened.close());
    return opened.kysely;
  };
  const clock = handWoundClock(systemClock.now());
  const verifier = await openTokenVerifier(open(5), clock, { epochDb: open(1) });
  t.after(() => verifier.stop());
  const known = await mint(clock);
  assert.equal(await codeOf(verifier, known.value), 'token');
  const { ownerConnection } = embedded;
  const target = { embedded: { connection: ownerConnection, ownerConnection } };
  const owner = openDatabase(target, { clock: systemClock, log: silentLog, maxConnections: 1 });
  t.after(() => owner.close());
  const waiting = async (): Promise<number> => {
    const found = await sql<{ n: number }>`select count(*)::int as n from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`.execute(db);
    return found.rows[0]?.n ?? 0;
  };
  let flood: Promise<string[]> = Promise.resolve([]);
  await transaction(owner.kysely, async (trx) => {
    await sql`lock table identity_token in access exclusive mode`.execute(trx);
    flood = Promise.all(Array.from({ length: 300 }, () => codeOf(verifier, newBearer('token'))));
    while ((await waiting()) < 4) await new Promise(setImmediate);
    for (let i = 0; i < 8; i++) {
      clock.advance(250);
      await verifier.refresh();
    }
    assert.equal(await codeOf(verifier, known.value), 'token', 'two seconds later the epoch is fresh');
    assert.equal(await waiting(), 4);
    await assert.rejects(
      verifier.verify(newBearer('token')),
      (e: unknown) => e instanceof Problem && e.code === 'unavailable' && e.extras.retryAfterSeconds === 1,
    );
  });
  const codes = await flood;
  const count = (code: string): number => codes.filter((c) => c === code).length;
  assert.deepEqual([count('token-unknown'), count('unavailable')], [260, 40]);
});
