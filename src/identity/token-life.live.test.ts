/** Renewal, rotation, counted uses and flags on a real database, with several replicas at once where that is what matters. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type HandWoundClock, handWoundClock, systemClock } from '../clock.ts';
import { databaseMigrations, silentLog } from '../database/index.ts';
import { testDatabase } from '../database/testing.ts';
import { Problem } from '../problems.ts';
import {
  type DelegateInput,
  delegateToken,
  flagsOf,
  type IssuedToken,
  type IssueTokenInput,
  identityMigrations,
  issueToken,
  openTokenUse,
  openTokenVerifier,
  renewToken,
  revokeToken,
  rotateToken,
  systemCaller,
  type Token,
  tokenById,
  tokenSubtree,
} from './index.ts';
import { exampleFacility as facility, exampleRules as rules } from './token.fixture.ts';
import { callerOf, tokenState } from './token.ts';

const DAY_MS = 86_400_000;
const under = await testDatabase({ after }, [databaseMigrations, { room: 'identity', migrations: identityMigrations }]);
const db = under.database.kysely;
const clock: HandWoundClock = handWoundClock(systemClock.now());
const verifier = await openTokenVerifier(db, clock);
after(() => verifier.stop());
const deps = { db, clock, facility, rules, verifier };

const mint = (change: Partial<IssueTokenInput> = {}): Promise<IssuedToken> =>
  issueToken(deps, systemCaller('test'), {
    project: 'demo',
    environments: ['ace'],
    scopes: ['job:read', 'token:delegate'],
    lifetimeSeconds: 3600,
    ...change,
  });
const delegate = (parent: Token, change: Partial<DelegateInput> = {}): Promise<IssuedToken> =>
  delegateToken(deps, callerOf(parent), { scopes: ['job:read'], lifetimeSeconds: 60, ...change });
const renew = (token: Token, lifetimeSeconds?: number): Promise<Token> =>
  renewToken(deps, callerOf(token), { lifetimeSeconds });
const rotate = (token: Token, overlapSeconds?: number): Promise<IssuedToken> =>
  rotateToken(deps, callerOf(token), { overlapSeconds });

const now = async (token: Token): Promise<Token> => {
  const row = await tokenById(db, token.id);
  assert.ok(row !== undefined);
  return row;
};
const fails = (code: string, rule?: string) => (thrown: unknown) =>
  thrown instanceof Problem &&
  thrown.code === code &&
  (rule === undefined || [...(thrown.extras.rules ?? [])].some((r) => r.rule === rule));
const endsIn = (token: Token): number => Math.round((token.expiresAt.getTime() - clock.now()) / 1000);

test('a service renews its token again and again, up to the end of its renewal and not beyond', async () => {
  const { token, value } = await mint({ scopes: ['job:read'], renewableDays: 1 });
  for (let step = 0; step < 27; step++) {
    clock.advance(3_000_000);
    assert.equal(endsIn(await renew(token)), 3600);
    await verifier.refresh();
    assert.equal((await verifier.verify(value)).id, token.id, 'the same value, believed on this replica at once');
  }
  clock.advance(3_000_000);
  const last = await renew(token);
  assert.deepEqual([endsIn(last), last.expiresAt], [2400, token.renewableUntil]);
  await assert.rejects(renew(token, 2401), fails('invalid-request'));
});

test('a renewal never goes past the end of renewal, the rules, or the parent, and never shortens', async () => {
  const { token } = await mint({ renewableDays: 0.5, lifetimeSeconds: 6 * 3600 });
  clock.advance(5 * 3_600_000);
  assert.equal(endsIn(await renew(token)), 6 * 3600);
  clock.advance(5 * 3_600_000);
  assert.equal(endsIn(await renew(token)), 2 * 3600, 'the end of renewal');
  await assert.rejects(renew(token, 3 * 3600), fails('invalid-request'));
  assert.equal(endsIn(await renew(token, 60)), 2 * 3600, 'a shorter wish leaves the end');
  const parent = await mint({ lifetimeSeconds: 1000, renewableDays: 1 });
  const child = await delegate(parent.token, { renewableDays: 0.5 });
  clock.advance(50_000);
  assert.equal(endsIn(await renew(child.token, 600)), 600);
  await assert.rejects(renew(child.token, 951), fails('invalid-request'));
  clock.advance(400_000);
  assert.equal(endsIn(await renew(child.token)), 550, 'the parent’s own end');
});

test('what was not asked to be renewable, is revoked, expired, rotated or no token is not renewed', async () => {
  const plain = await mint();
  await assert.rejects(renew(plain.token), fails('refused', 'token-is-renewable'));
  await assert.rejects(renewToken(deps, systemCaller('x'), {}), fails('refused', 'only-tokens-renew'));
  const gone = await mint({ renewableDays: 1 });
  await revokeToken(deps, systemCaller('test'), gone.token.id);
  await assert.rejects(renew(gone.token), fails('token-revoked'));
  const old = await mint({ renewableDays: 1 });
  await rotate(old.token);
  await assert.rejects(renew(old.token), fails('refused', 'replaced-token-ends'));
  const late = await mint({ renewableDays: 1 });
  clock.advance(3_600_000);
  await assert.rejects(renew(late.token), fails('token-revoked'));
});

test('rotation gives another value for the same rights; the old one ends with the overlap', async () => {
  const old = await mint({ renewableDays: 1, sources: ['127.0.0.0/8'], purpose: 'monitoring' });
  clock.advance(1000);
  const next = await rotate(old.token, 60);
  assert.notEqual(next.value, old.value);
  const { id, replaces, createdAt, createdBy, ...rights } = next.token;
  assert.deepEqual([replaces, createdBy], [old.token.id, old.token.id]);
  assert.deepEqual({ ...old.token, ...rights }, old.token);
  assert.ok(id !== old.token.id && createdAt > old.token.createdAt);
  const from = { address: '127.0.0.1' };
  for (const { value, token } of [old, next]) assert.equal((await verifier.verify(value, from)).id, token.id);
  clock.advance(60_000);
  await verifier.refresh();
  await assert.rejects(verifier.verify(old.value, from), fails('token-expired'));
  assert.equal((await verifier.verify(next.value, from)).id, next.token.id);
  assert.equal(endsIn(await renew(next.token)), 3600, 'the new one goes on renewing');
});

test('a value is rotated once: whoever holds the old one gets no third', async () => {
  const { token } = await mint();
  const both = await Promise.allSettled([rotate(token), rotate(token)]);
  assert.deepEqual(both.map((r) => r.status).sort(), ['fulfilled', 'rejected']);
  await assert.rejects(rotate(token), fails('refused', 'replaced-token-ends'));
});

test('a rotated service keeps its children, and revoking either value takes both and all below', async () => {
  for (const which of ['old', 'new'] as const) {
    const old = await mint();
    const child = await delegate(old.token, { scopes: ['job:read', 'token:delegate'] });
    const grandchild = await delegate(child.token, { lifetimeSeconds: 30 });
    const next = await rotate(old.token);
    const late = await delegate(old.token);
    assert.equal((await now(child.token)).parent, next.token.id);
    assert.equal((await verifier.verify(grandchild.value)).id, grandchild.token.id);
    const all = [old, child, grandchild, next, late].map((t) => t.token.id).sort();
    for (const token of [old.token, next.token])
      assert.deepEqual((await tokenSubtree(db, token.id)).map((t) => t.id).sort(), all);
    await revokeToken(deps, systemCaller('test'), (which === 'old' ? old : next).token.id);
    for (const id of all) assert.equal((await tokenById(db, id))?.revokedAt?.getTime(), clock.now());
  }
});

test('rotated while its parent is revoked, no value survives', async () => {
  for (let round = 0; round < 10; round++) {
    const root = await mint();
    const service = await delegate(root.token, { scopes: ['job:read', 'token:delegate'] });
    await delegate(service.token);
    const race = Promise.allSettled([rotate(service.token), delegate(service.token), delegate(root.token)]);
    await revokeToken(deps, systemCaller('test'), root.token.id);
    await race;
    const alive = (await tokenSubtree(db, root.token.id)).filter((t) => t.revokedAt === null);
    assert.deepEqual(alive, []);
  }
});

test('a bounded token is used exactly so often, however many replicas race for its uses', async () => {
  const { token } = await mint({ maxUses: 10 });
  const replicas = [1, 2, 3].map(() => openTokenUse({ db, clock, rules, log: silentLog }));
  const tries = Array.from({ length: 30 }, (_, i) => replicas[i % 3]?.spend(callerOf(token), 'job:read'));
  const done = await Promise.allSettled(tries);
  assert.equal(done.filter((r) => r.status === 'fulfilled').length, 10);
  for (const one of done) if (one.status === 'rejected') assert.ok(fails('token-used-up')(one.reason));
  assert.equal((await now(token)).uses, 10);
  await replicas[0]?.spend(callerOf(token), 'self:revoke');
  await Promise.all(replicas.map((r) => r.stop()));
});

test('uses are given to children at once; parent, children and racing uses together never exceed the bound', async () => {
  const parent = await mint({ maxUses: 12 });
  const use = openTokenUse({ db, clock, rules, log: silentLog });
  await assert.rejects(delegate(parent.token), fails('invalid-request'));
  const children = await Promise.allSettled([5, 5, 5].map((maxUses) => delegate(parent.token, { maxUses })));
  const made = children.flatMap((c) => (c.status === 'fulfilled' ? [c.value.token] : []));
  assert.equal(made.length, 2, 'the third five are not there');
  const tries = [parent.token, ...made].flatMap((t) =>
    Array.from({ length: 8 }, () => use.spend(callerOf(t), 'job:read')),
  );
  const spent = (await Promise.allSettled(tries)).filter((r) => r.status === 'fulfilled').length;
  assert.equal(spent, 12);
  await use.stop();
});

test('of a bounded token the new value gets the rest of the uses, and the old one has none left', async () => {
  const old = await mint({ maxUses: 3 });
  const use = openTokenUse({ db, clock, rules, log: silentLog });
  await use.spend(callerOf(old.token), 'job:read');
  const next = await rotate(old.token);
  assert.equal(next.token.maxUses, 2);
  await assert.rejects(use.spend(callerOf(old.token), 'job:read'), fails('token-used-up'));
  await use.spend(callerOf(next.token), 'job:read');
  await use.spend(callerOf(next.token), 'job:read');
  await assert.rejects(rotate(next.token), fails('token-used-up'));
  await use.stop();
});

test('use outside of the purpose is counted on the token, and written at most once a minute', async () => {
  const { token } = await mint({ purpose: 'monitoring', scopes: ['job:read', 'job:submit'] });
  const use = openTokenUse({ db, clock, rules, log: silentLog });
  const caller = callerOf(token);
  const flag = async () => (await flagsOf(db, [token.id])).get(token.id);
  const settled = async (times: number) => {
    const end = systemClock.monotonic() + 10_000;
    while ((await flag())?.times !== times && systemClock.monotonic() < end) await new Promise(setImmediate);
    return flag();
  };
  assert.equal(use.flag(caller, 'job:read'), false);
  assert.equal(use.flag(caller, 'job:submit'), true);
  const first = new Date(clock.now());
  assert.deepEqual(await settled(1), { action: 'job:submit', at: first, times: 1 });
  clock.advance(30_000);
  for (let i = 0; i < 4; i++) use.flag(caller, 'job:submit');
  assert.deepEqual((await flag())?.at, first, 'not before the minute is over');
  clock.advance(30_000);
  assert.equal((await settled(5))?.times, 5);
  use.flag(caller, 'job:submit');
  await use.stop();
  assert.equal((await flag())?.times, 6, 'what was not written is written at the end');
});

test('a token is minted for later, and says so', async () => {
  const notBefore = new Date(clock.now() + DAY_MS).toISOString();
  const { token, value } = await mint({ notBefore, renewableDays: 2 });
  assert.equal(tokenState(token, clock.now()), 'not-yet-valid');
  await verifier.refresh();
  await assert.rejects(verifier.verify(value), fails('token-not-yet-valid'));
  assert.equal(token.renewableUntil?.getTime(), clock.now() + 3 * DAY_MS);
});
