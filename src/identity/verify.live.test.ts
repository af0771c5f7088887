/** Minting and verifying on a real database: what is stored, what is refused, and how long a replica may believe a bearer that another has revoked. */
import assert from 'node:assert/strict';
import { after, type TestContext, test } from 'node:test';
import { sql } from 'kysely';
import { type HandWoundClock, handWoundClock, systemClock } from '../clock.ts';
import { databaseMigrations, openDatabase, silentLog } from '../database/index.ts';
import { testDatabase } from '../database/testing.ts';
import { Problem } from '../problems.ts';
import {
  bearerDigest,
  type IssuedToken,
  type IssueTokenInput,
  identityMigrations,
  issueToken,
  newBearer,
  openTokenVerifier,
  revokeToken,
  systemCaller,
  type TokenVerifier,
  WrongSource,
} from './index.ts';
import { exampleFacility as facility, exampleRules as rules } from './token.fixture.ts';

const EPOCH_READ_MS = 250;
const { database, embedded } = await testDatabase({ after }, [
  databaseMigrations,
  { room: 'identity', migrations: identityMigrations },
]);
const db = database.kysely;
/** Valid since a minute: the hand-wound clocks of the replicas stand still at a moment before. */
const INPUT: IssueTokenInput = {
  notBefore: new Date(systemClock.now() - 60_000).toISOString(),
  project: 'demo',
  environments: ['ace'],
  scopes: ['job:read'],
  lifetimeSeconds: 600,
};
const mint = (change: Partial<IssueTokenInput> = {}, clock = systemClock): Promise<IssuedToken> =>
  issueToken({ db, clock, facility, rules }, systemCaller('test'), { ...INPUT, ...change });

interface Replica {
  readonly clock: HandWoundClock;
  readonly verifier: TokenVerifier;
}

/** A verifier with a clock of its own that only the test moves. */
async function replica(t: TestContext): Promise<Replica> {
  const clock = handWoundClock(systemClock.now());
  const verifier = await openTokenVerifier(db, clock);
  t.after(() => verifier.stop());
  return { clock, verifier };
}

const codeOf = (verifier: TokenVerifier, text: string): Promise<string> =>
  verifier.verify(text).then(
    (caller) => caller.kind,
    (thrown: unknown) => (thrown instanceof Problem ? thrown.code : String(thrown)),
  );

/** The read that a turn of the clock began has come back once the answer is another one; ten seconds at the most. */
async function changes(verifier: TokenVerifier, text: string, from: string): Promise<string> {
  const end = systemClock.monotonic() + 10_000;
  for (;;) {
    const code = await codeOf(verifier, text);
    if (code !== from || systemClock.monotonic() > end) return code;
    await new Promise((next) => setImmediate(next));
  }
}

const faults = (change: Partial<IssueTokenInput>): Promise<string[]> =>
  mint(change).then(
    () => [],
    (thrown: unknown) => {
      assert.ok(thrown instanceof Problem && thrown.code === 'invalid-request', String(thrown));
      return (thrown.extras.errors ?? []).map((e) => e.pointer);
    },
  );

test('every failing field of a wish is listed at once', async () => {
  const wish = { project: 'nope', environments: ['ace', 'mars'], scopes: ['job:read', 'x'], notBefore: 'tomorrow' };
  assert.deepEqual(await faults({ ...wish, lifetimeSeconds: 721 * 3600 }), [
    '#/project',
    '#/environments/1',
    '#/scopes/1',
    '#/lifetimeSeconds',
    '#/notBefore',
  ]);
  assert.deepEqual(await faults({ environments: [], scopes: [] }), ['#/environments', '#/scopes']);
});

test('a token is for one enclave, and for environments of its project', async () => {
  assert.deepEqual(await faults({ environments: ['ace', 'seeker'], lifetimeSeconds: 60 }), ['#/environments']);
  assert.deepEqual(await faults({ project: 'beamtime', environments: ['seeker'] }), ['#/environments/0']);
  const { token } = await mint({ environments: ['seeker', 'frontier', 'seeker'] });
  assert.deepEqual([token.enclave, token.environments], ['moderate', ['seeker', 'frontier']]);
});

test('the shortest of its environments bounds a token’s life, from its start', async () => {
  assert.deepEqual(await faults({ environments: ['ace', 'odo'], lifetimeSeconds: 336 * 3600 + 1 }), [
    '#/lifetimeSeconds',
  ]);
  const day = 86_400_000;
  const notBefore = new Date(systemClock.now() + 30 * day).toISOString();
  const { token } = await mint({ environments: ['ace', 'odo'], lifetimeSeconds: 336 * 3600, notBefore });
  assert.equal(token.expiresAt.getTime(), Date.parse(notBefore) + 14 * day);
});

test('of a bearer the database holds the digest and nothing more', async () => {
  const { token, value } = await mint({ description: 'looked for everywhere' });
  const tables = await sql<{ name: string }>`select format('%I.%I', schemaname, tablename) as name from pg_tables
    where schemaname not in ('pg_catalog', 'information_schema')`.execute(db);
  assert.ok(tables.rows.length >= 2);
  for (const { name } of tables.rows) {
    const held = await sql<{ rows: number }>`select count(*) as rows from ${sql.raw(name)} t
      where strpos(t::text, ${value.slice(4)}) > 0`.execute(db);
    assert.equal(held.rows[0]?.rows, 0, name);
  }
  const row = await sql<{ digest: Buffer }>`select digest from identity_token where id = ${token.id}`.execute(db);
  assert.deepEqual(row.rows[0]?.digest, bearerDigest(value));
});

test('a bearer is told what is wrong with it', async (t) => {
  const { clock, verifier } = await replica(t);
  const soon = await mint({ notBefore: new Date(clock.now() + 60_000).toISOString(), lifetimeSeconds: 60 });
  assert.equal(await codeOf(verifier, 'bwp_short'), 'token-malformed');
  assert.equal(await codeOf(verifier, `${soon.value} `), 'token-malformed');
  assert.equal(await codeOf(verifier, newBearer('token')), 'token-unknown');
  assert.equal(await codeOf(verifier, soon.value), 'token-not-yet-valid');
  for (const [passMs, code] of [
    [60_000, 'token'],
    [59_999, 'token'],
    [1, 'token-expired'],
  ] as const) {
    clock.advance(passMs);
    await verifier.refresh();
    assert.equal(await codeOf(verifier, soon.value), code);
  }
});

test('a clock that is two seconds behind believes a token that starts now, and no more', async (t) => {
  const { clock, verifier } = await replica(t);
  const startsIn = (ms: number) => mint({ notBefore: new Date(clock.now() + ms).toISOString() });
  assert.equal(await codeOf(verifier, (await startsIn(2000)).value), 'token');
  assert.equal(await codeOf(verifier, (await startsIn(2001)).value), 'token-not-yet-valid');
});

test('a token with source ranges is believed from there only, and never without an address', async (t) => {
  const { verifier } = await replica(t);
  const { token, value } = await mint({ sources: ['192.0.2.77/24', '2001:db8::/32', '192.0.2.0/24'] });
  assert.deepEqual(token.sources, ['192.0.2.0/24', '2001:db8::/32'], 'written one way, each once');
  for (const address of ['192.0.2.1', '::ffff:192.0.2.255', '2001:db8:1::'])
    assert.equal((await verifier.verify(value, { address })).id, token.id, address);
  for (const address of ['192.0.3.1', '::1', 'unknown', undefined])
    await assert.rejects(
      verifier.verify(value, address === undefined ? {} : { address }),
      (e: unknown) => e instanceof WrongSource && e.code === 'token-wrong-source' && e.caller.id === token.id,
    );
});

test('a token revoked on one replica is refused there at once, and on another within one read of the epoch', async (t) => {
  const [here, there] = [await replica(t), await replica(t)];
  const { token, value } = await mint();
  for (const { verifier } of [here, there]) assert.equal(await codeOf(verifier, value), 'token');
  const deps = { db, clock: here.clock, verifier: here.verifier };
  await revokeToken(deps, systemCaller('test'), token.id);
  assert.equal(await codeOf(here.verifier, value), 'token-revoked');
  assert.equal(await codeOf(there.verifier, value), 'token', 'the other one has not looked yet');
  there.clock.advance(EPOCH_READ_MS);
  assert.equal(await changes(there.verifier, value, 'token'), 'token-revoked');
});

test('a second revocation changes nothing, and that of a token that never was is not found', async (t) => {
  const { clock, verifier } = await replica(t);
  const { token } = await mint();
  const deps = { db, clock, verifier };
  const first = await revokeToken(deps, systemCaller('test'), token.id);
  clock.advance(1000);
  const second = await revokeToken(deps, systemCaller('other'), token.id);
  assert.deepEqual([second.revokedAt, second.revokedBy], [first.revokedAt, 'test']);
  await assert.rejects(revokeToken(deps, systemCaller('test'), 'tok_none'), /No token/);
});

test('while the epoch cannot be read for a second nobody is believed, cached or not; afterwards everybody is again', async (t) => {
  const { clock, verifier } = await replica(t);
  const [known, fresh] = [await mint(), await mint()];
  assert.equal(await codeOf(verifier, known.value), 'token');
  const { ownerConnection } = embedded;
  const target = { embedded: { connection: ownerConnection, ownerConnection } };
  const owner = openDatabase(target, { clock: systemClock, log: silentLog, maxConnections: 1 });
  t.after(() => owner.close());
  await sql`alter table identity_epoch rename to identity_epoch_away`.execute(owner.kysely);
  for (let i = 0; i < 4; i++) {
    clock.advance(EPOCH_READ_MS);
    await assert.rejects(verifier.refresh());
  }
  assert.equal(await codeOf(verifier, known.value), 'token', 'a second is borne');
  clock.advance(1);
  assert.equal(await codeOf(verifier, known.value), 'unavailable');
  assert.equal(await codeOf(verifier, fresh.value), 'unavailable');
  await sql`alter table identity_epoch_away rename to identity_epoch`.execute(owner.kysely);
  clock.advance(EPOCH_READ_MS);
  assert.equal(await changes(verifier, known.value, 'unavailable'), 'token');
  assert.equal(await codeOf(verifier, fresh.value), 'token');
});
