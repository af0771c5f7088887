// Signing keys of several replicas on one database: made once, turned without a gap, ended at once when one is lost, sealed in the rows.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { sql } from 'kysely';
import { auditMigrations } from '../../audit/index.ts';
import { type HandWoundClock, handWoundClock } from '../../clock.ts';
import { databaseMigrations } from '../../database/index.ts';
import { testDatabase } from '../../database/testing.ts';
import { Problem } from '../../problems.ts';
import { insertToken } from '../store.ts';
import { identityMigrations } from '../tables-store.ts';
import { NOW, tokenLike } from '../token.fixture.ts';
import { type HopDeps, mintHopToken } from './mint-hop-token.ts';
import { openSigningKeys, type SigningKeys } from './open-signing-keys.ts';
import { CALLER, ISSUER } from './signing-key.fixture.ts';
import { KEPT_MS, keyState, PUBLISHED_MS, SIGNS_MS } from './signing-key.ts';
import { verifyHopToken } from './verify-hop-token.ts';

const { database } = await testDatabase({ after }, [
  databaseMigrations,
  { room: 'audit', migrations: auditMigrations, appendOnly: ['audit_record'] },
  { room: 'identity', migrations: identityMigrations },
]);
const db = database.kysely;
const folder = mkdtempSync(join(tmpdir(), 'beamway-keys-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const sealFile = join(folder, 'keys', 'signing-keys.json');
const silent = { warn: () => undefined };
let clock: HandWoundClock;
let opened: SigningKeys[] = [];

beforeEach(async () => {
  for (const keys of opened) keys.stop();
  opened = [];
  clock = handWoundClock(NOW);
  await sql`delete from identity_signing_key`.execute(db);
});
after(() => {
  for (const keys of opened) keys.stop();
});

async function replica(file = sealFile): Promise<SigningKeys> {
  const keys = await openSigningKeys({ db, clock, sealFile: file, log: silent });
  opened.push(keys);
  return keys;
}

const AUDIENCE = 'internal-services';
const hopDeps = (keys: SigningKeys): HopDeps => ({ db, clock, keys, issuer: () => ISSUER, audiences: [AUDIENCE] });
const ask = { caller: CALLER, audience: AUDIENCE } as const;

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'fine',
    (thrown: unknown) => (thrown instanceof Problem ? thrown.code : String(thrown)),
  );
}

await insertToken(
  db,
  tokenLike({ scopes: CALLER.scopes, expiresAt: new Date(NOW + 90 * 86_400_000) }),
  Buffer.alloc(32, 1),
);
await insertToken(db, tokenLike({ id: 'tok_short', expiresAt: new Date(NOW + 20_000) }), Buffer.alloc(32, 2));

test('replicas that start at once make one key, and each believes what the other signs', async () => {
  const [a, b, c] = await Promise.all([replica(), replica(), replica()]);
  assert.ok(a && b && c);
  assert.equal(a.list().length, 1);
  assert.deepEqual(b.keySet(), a.keySet());
  const { value } = await mintHopToken(hopDeps(a), ask);
  const claims = await verifyHopToken(hopDeps(c), value, { audience: AUDIENCE });
  assert.equal(claims.token, CALLER.id);
});

test('in a turn the next key is known everywhere before it signs, and the last token of the old one still holds', async () => {
  const [a, b] = [await replica(), await replica()];
  const [first] = a.list();
  clock.advance(SIGNS_MS);
  const turned = await Promise.all([a.turn(), b.turn()]);
  assert.equal(turned.flatMap((t) => t.made).length, 1, 'two replicas that turn at once make one key');
  assert.deepEqual(
    a.list().map((k) => keyState(a.list(), k, clock.now())),
    ['signing', 'published'],
  );
  assert.equal(a.signer().kid, first?.kid);
  clock.advance(PUBLISHED_MS - 1);
  await a.turn();
  const last = await mintHopToken(hopDeps(a), { ...ask, lifetimeSeconds: 300 });
  clock.advance(1);
  await b.turn();
  assert.notEqual(b.signer().kid, first?.kid);
  clock.advance(299_000);
  await b.turn();
  assert.equal(await codeOf(verifyHopToken(hopDeps(b), last.value, { audience: AUDIENCE })), 'fine');
  clock.advance(KEPT_MS);
  assert.deepEqual((await b.turn()).removed, [first?.kid]);
  assert.equal(b.keySet().keys.length, 1);
});

test('a rotation is not repeated while its key waits; one that ends the others takes what they signed with it, on every replica', async () => {
  const [a, b] = [await replica(), await replica()];
  assert.equal((await a.rotate({ by: 'tok_x', endNow: false })).made.length, 1);
  assert.equal((await b.rotate({ by: 'tok_x', endNow: false })).made.length, 0);
  const { value } = await mintHopToken(hopDeps(a), ask);
  const { made, removed } = await a.rotate({ by: 'tok_x', endNow: true });
  assert.deepEqual([made.length, removed.length], [1, 2]);
  assert.equal(await codeOf(verifyHopToken(hopDeps(a), value, { audience: AUDIENCE })), 'token-unknown');
  const fresh = await mintHopToken(hopDeps(a), ask);
  clock.advance(1001);
  assert.equal(await codeOf(verifyHopToken(hopDeps(b), fresh.value, { audience: AUDIENCE })), 'fine', 'read at once');
  assert.equal(await codeOf(verifyHopToken(hopDeps(b), value, { audience: AUDIENCE })), 'token-unknown');
});

test('a private key is not in the rows in plain, and another seal file does not open it', async () => {
  const keys = await replica();
  const { rows } = await sql<{ sealed: Buffer }>`select sealed from identity_signing_key`.execute(db);
  assert.equal(rows.length, 1);
  assert.ok(!rows[0]?.sealed.includes(keys.list()[0]?.publicJwk.x ?? 'x'), 'nor is the rest of its JWK');
  assert.ok(!rows[0]?.sealed.includes('"d"'));
  assert.equal(statSync(sealFile).mode & 0o777, 0o600);
  await assert.rejects(replica(join(folder, 'other', 'signing-keys.json')), /every replica needs the same file/);
  chmodSync(sealFile, 0o644);
  await assert.rejects(replica(), /can be read by others/);
  chmodSync(sealFile, 0o600);
  assert.ok(readFileSync(sealFile, 'utf8').length > 0);
});

test('keys that cannot be read for five minutes are believed no more', async () => {
  const broken = { value: false };
  const flaky = new Proxy(db, {
    get(target, name) {
      if (broken.value) throw new Error('the database is away');
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const keys = await openSigningKeys({ db: flaky, clock, sealFile, log: silent });
  opened.push(keys);
  broken.value = true;
  clock.advance(299_000);
  assert.equal(keys.keySet().keys.length, 1);
  clock.advance(2000);
  assert.throws(() => keys.keySet(), /could not be read/);
  assert.throws(() => keys.signer(), /could not be read/);
});

test('a hop token is never for another audience, wider or longer than its token', async () => {
  const keys = await replica();
  const deps = hopDeps(keys);
  assert.equal(await codeOf(mintHopToken(deps, { ...ask, audience: 'others' })), 'invalid-request');
  assert.equal(await codeOf(mintHopToken(deps, { ...ask, scopes: ['token:delegate'] })), 'invalid-request');
  assert.equal(await codeOf(mintHopToken(deps, { ...ask, scopes: [] })), 'invalid-request');
  for (const lifetimeSeconds of [0, -1, 301, 1.5])
    assert.equal(await codeOf(mintHopToken(deps, { ...ask, lifetimeSeconds })), 'invalid-request');
  const node = { kind: 'node', id: 'tok_node', subject: 'dsn01' } as const;
  assert.equal(await codeOf(mintHopToken(deps, { ...ask, caller: node })), 'refused');
  const short = await mintHopToken(deps, { ...ask, caller: { ...CALLER, id: 'tok_short' }, lifetimeSeconds: 300 });
  assert.equal(short.expiresAt.getTime(), NOW + 20_000);
  const narrow = await mintHopToken(deps, { ...ask, scopes: ['job:read'] });
  const claims = await verifyHopToken(deps, narrow.value, { audience: AUDIENCE });
  assert.deepEqual(claims.scopes, ['job:read']);
  clock.advance(30_000);
  assert.equal(await codeOf(mintHopToken(deps, { ...ask, caller: { ...CALLER, id: 'tok_short' } })), 'token-revoked');
});
