/** Authenticator apps and recovery codes on a real database, against codes that an HMAC of the test's own computes. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { sql } from 'kysely';
import { auditMigrations, recordsPage } from '../../audit/index.ts';
import { databaseMigrations } from '../../database/index.ts';
import { testDatabase } from '../../database/testing.ts';
import { Problem } from '../../problems.ts';
import { readEpoch } from '../epoch-store.ts';
import { revokeToken, systemCaller, tokenById } from '../index.ts';
import { identityMigrations } from '../tables-store.ts';
import { confirmTotp, offerTotp, totpOffer } from './enrol-totp.ts';
import { type FactorWorld, factorWorld, newSubject, totpCode, wrongCode } from './factor.fixture.ts';
import type { FactorCall } from './factor.ts';
import { factorsOf } from './factor-store.ts';
import { issueRecoveryCodes } from './issue-recovery-codes.ts';
import { removeFactor } from './remove-factor.ts';
import { resetFactors } from './reset-factors.ts';
import { totpStep } from './totp.ts';
import { useCode } from './use-code.ts';

const { database } = await testDatabase({ after }, [
  databaseMigrations,
  { room: 'audit', migrations: auditMigrations },
  { room: 'identity', migrations: identityMigrations },
]);
const db = database.kysely;
const STEP_MS = 30_000;
const MINUTE_MS = 60_000;

const problemOf = (work: Promise<unknown>): Promise<Problem> =>
  work.then(
    () => assert.fail('was accepted'),
    (thrown: unknown) => {
      assert.ok(thrown instanceof Problem, String(thrown));
      return thrown;
    },
  );
const codeOf = async (work: Promise<unknown>): Promise<string> => (await problemOf(work)).code;
const ruleOf = async (work: Promise<unknown>): Promise<string | undefined> =>
  (await problemOf(work)).extras.rules?.[0]?.rule;

interface Enrolled {
  readonly call: FactorCall;
  readonly secret: string;
  readonly factor: string;
}

async function enrolled(world: FactorWorld, subject = newSubject()): Promise<Enrolled> {
  const call = await world.signIn(subject);
  const { id, secret } = await offerTotp(world.deps, call);
  const factor = await confirmTotp(world.deps, call, { id, code: totpCode(secret, world.clock.now()) });
  world.clock.advance(STEP_MS);
  return { call, secret, factor };
}

test('a code is of its time step by an independent computation, one step of skew either way and no more', async () => {
  const secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
  // RFC 6238, appendix B, cut to six digits.
  assert.equal(totpCode(secret, 59_000), '287082');
  assert.equal(totpCode(secret, 20_000_000_000_000), '353130');
  for (const at of [1_234_567_890_000, 1_111_111_111_000, 20_000_000_000_000]) {
    for (const away of [-1, 0, 1])
      assert.equal(await totpStep(secret, totpCode(secret, at, away), at), Math.floor(at / STEP_MS) + away);
    for (const away of [-2, 2]) assert.equal(await totpStep(secret, totpCode(secret, at, away), at), undefined);
    assert.equal(await totpStep(secret, wrongCode(secret, at), at), undefined);
  }
});

test('an app is enrolled by a code of it, which steps the session up, and its secret lies nowhere in clear', async () => {
  const world = factorWorld(db);
  const call = await world.signIn(newSubject());
  const { id, secret } = await offerTotp(world.deps, call);
  assert.deepEqual(await factorsOf(db, call.session.subject), [], 'not yet');
  assert.equal((await totpOffer(world.deps, call, id)).secret, secret);
  const before = await readEpoch(db);
  const now = world.clock.now();
  await confirmTotp(world.deps, call, { id, code: totpCode(secret, now), name: ' Pixel\u0000 9 ' });
  assert.deepEqual(
    (await factorsOf(db, call.session.subject)).map((f) => [f.id, f.method, f.name]),
    [[id, 'totp', 'Pixel 9']],
  );
  const session = await tokenById(db, call.session.id);
  assert.deepEqual([session?.methods, session?.factorAt?.getTime()], [['oidc', 'totp'], now]);
  assert.ok((await readEpoch(db)).value > before.value, 'caches of other replicas forget the session');
  const raw = [secret, Buffer.from(secret).toString('hex')];
  await nothingHolds(raw);
});

test('a wrong code enrols nothing; an offer of another session, or one that is over, is none', async () => {
  const world = factorWorld(db);
  const subject = newSubject();
  const [call, other] = [await world.signIn(subject), await world.signIn(subject)];
  const { id, secret } = await offerTotp(world.deps, call);
  const code = (): string => totpCode(secret, world.clock.now());
  const wrong = wrongCode(secret, world.clock.now());
  assert.equal(await codeOf(confirmTotp(world.deps, call, { id, code: wrong })), 'factor-wrong');
  assert.equal(await codeOf(confirmTotp(world.deps, other, { id, code: code() })), 'conflict');
  world.clock.advance(10 * MINUTE_MS);
  assert.equal(await codeOf(confirmTotp(world.deps, call, { id, code: code() })), 'conflict');
  assert.deepEqual(await factorsOf(db, subject), []);
});

test('of two confirmations of one offer at the same moment one enrols', async () => {
  const world = factorWorld(db);
  const call = await world.signIn(newSubject());
  const { id, secret } = await offerTotp(world.deps, call);
  const code = totpCode(secret, world.clock.now());
  const both = await Promise.allSettled([1, 2].map(() => confirmTotp(world.deps, call, { id, code })));
  assert.equal(both.filter((one) => one.status === 'fulfilled').length, 1);
  assert.equal((await factorsOf(db, call.session.subject)).length, 1);
});

test('a code steps a session up once; typed again, or an earlier one, it is refused and recorded as a replay', async () => {
  const world = factorWorld(db);
  const { secret, factor, call } = await enrolled(world);
  const session = await world.signIn(call.session.subject);
  const now = world.clock.now();
  const code = totpCode(secret, now);
  assert.deepEqual(await useCode(world.deps, session, ` ${code.slice(0, 3)} ${code.slice(3)}`), {
    method: 'totp',
    factor,
  });
  assert.equal((await tokenById(db, session.session.id))?.factorAt?.getTime(), now);
  assert.equal(await codeOf(useCode(world.deps, session, code)), 'factor-wrong');
  assert.equal(await codeOf(useCode(world.deps, session, totpCode(secret, now, -1))), 'factor-wrong');
  const reasons = (await eventsOf(session)).filter((r) => r.action === 'factor.failed').map((r) => r.detail['reason']);
  assert.deepEqual(reasons, ['replayed', 'replayed']);
});

test('of replicas that race for one code exactly one accepts it', async () => {
  const first = factorWorld(db);
  const second = factorWorld(db, { keys: first.deps.keys, clock: first.clock });
  const { secret, call } = await enrolled(first);
  for (let round = 0; round < 5; round++) {
    first.clock.advance(STEP_MS);
    const code = totpCode(secret, first.clock.now());
    const race = [first, second, first, second].map((replica) => useCode(replica.deps, call, code));
    const done = await Promise.allSettled(race);
    assert.equal(done.filter((one) => one.status === 'fulfilled').length, 1, `round ${round}`);
  }
});

test('after five wrong codes the right one waits too, on every replica, and each further wrong one doubles the wait', async () => {
  const world = factorWorld(db);
  const replica = factorWorld(db, { keys: world.deps.keys, clock: world.clock });
  const { secret, call } = await enrolled(world);
  const wrong = (): Promise<string> => codeOf(useCode(world.deps, call, wrongCode(secret, world.clock.now())));
  for (let i = 0; i < 5; i++) assert.equal(await wrong(), 'factor-wrong');
  const right = (): Promise<unknown> => useCode(replica.deps, call, totpCode(secret, world.clock.now()));
  const locked = await problemOf(right());
  assert.deepEqual([locked.code, locked.extras.retryAfterSeconds], ['factor-locked', 30]);
  world.clock.advance(30_000);
  assert.equal(await wrong(), 'factor-wrong');
  assert.equal((await problemOf(right())).extras.retryAfterSeconds, 60);
  world.clock.advance(60_000);
  await right();
  world.clock.advance(STEP_MS);
  assert.equal(await wrong(), 'factor-wrong', 'a right one takes the count away');
  await right();
});

test('wrong codes that come all at once are all counted', async () => {
  const world = factorWorld(db);
  const { secret, call } = await enrolled(world);
  const wrong = wrongCode(secret, world.clock.now());
  const codes = await Promise.all(Array.from({ length: 12 }, () => codeOf(useCode(world.deps, call, wrong))));
  assert.equal(codes.filter((code) => code === 'factor-wrong').length, 5);
  assert.equal(codes.filter((code) => code === 'factor-locked').length, 7);
});

test('the wait grows to an hour and not beyond', async () => {
  const world = factorWorld(db);
  const { secret, call } = await enrolled(world);
  let longest = 0;
  for (let i = 0; i < 20; i++) {
    const problem = await problemOf(useCode(world.deps, call, wrongCode(secret, world.clock.now())));
    assert.equal(problem.code, 'factor-wrong');
    const next = await problemOf(useCode(world.deps, call, '000000'));
    const seconds = next.extras.retryAfterSeconds ?? 0;
    longest = Math.max(longest, seconds);
    world.clock.advance(seconds * 1000);
  }
  assert.equal(longest, 3600);
});

test('the first factor is enrolled within ten minutes of signing in, each further one by whoever has just shown one', async () => {
  const world = factorWorld(db);
  const late = await world.signIn(newSubject());
  world.clock.advance(10 * MINUTE_MS + 1);
  assert.equal(await ruleOf(offerTotp(world.deps, late)), 'first-factor-after-sign-in');
  const { call, secret, factor } = await enrolled(world);
  const fresh = await world.signIn(call.session.subject);
  assert.equal(await ruleOf(offerTotp(world.deps, fresh)), 'fresh-factor-changes-factors');
  assert.equal(await ruleOf(removeFactor(world.deps, fresh, factor)), 'fresh-factor-changes-factors');
  assert.equal(await ruleOf(issueRecoveryCodes(world.deps, fresh)), 'fresh-factor-changes-factors');
  await useCode(world.deps, fresh, totpCode(secret, world.clock.now()));
  const { id } = await offerTotp(world.deps, fresh);
  world.clock.advance(5 * MINUTE_MS + 1);
  const late2 = confirmTotp(world.deps, fresh, { id, code: '123456' });
  assert.equal(await ruleOf(late2), 'fresh-factor-changes-factors', 'asked again when it is confirmed');
});

test('two sessions that both enrol a first factor at the same moment do not both succeed', async () => {
  const world = factorWorld(db);
  const subject = newSubject();
  const calls = [await world.signIn(subject), await world.signIn(subject)];
  const offers = await Promise.all(calls.map((call) => offerTotp(world.deps, call)));
  const now = world.clock.now();
  const done = await Promise.allSettled(
    calls.map((call, i) =>
      confirmTotp(world.deps, call, { id: offers[i]?.id ?? '', code: totpCode(offers[i]?.secret ?? '', now) }),
    ),
  );
  assert.equal(done.filter((one) => one.status === 'fulfilled').length, 1);
});

test('each of ten recovery codes works once, in whatever spelling, and new ones replace them', async () => {
  const world = factorWorld(db);
  const { call } = await enrolled(world);
  const codes = await issueRecoveryCodes(world.deps, call);
  assert.equal(new Set(codes).size, 10);
  for (const code of codes) assert.match(code, /^([0-9a-hjkmnp-tv-z]{4}-){3}[0-9a-hjkmnp-tv-z]{4}$/);
  const [first = '', second = ''] = codes;
  const twice = await Promise.allSettled([1, 2].map(() => useCode(world.deps, call, first)));
  assert.equal(twice.filter((one) => one.status === 'fulfilled').length, 1);
  assert.equal(await codeOf(useCode(world.deps, call, first)), 'factor-wrong');
  await useCode(world.deps, call, second.toUpperCase().replaceAll('-', ' ').replaceAll('1', 'l').replaceAll('0', 'O'));
  const set = (await factorsOf(db, call.session.subject)).find((f) => f.method === 'recovery-code');
  assert.equal(set?.codesLeft, 8);
  await nothingHolds(codes.map((code) => code.replaceAll('-', '')));
  await nothingHolds(codes);
  const [renewed = ''] = await issueRecoveryCodes(world.deps, call);
  assert.equal(await codeOf(useCode(world.deps, call, codes[5] ?? '')), 'factor-wrong');
  await useCode(world.deps, call, renewed);
});

test('with the last factor its recovery codes go, and the next one is a first one again', async () => {
  const world = factorWorld(db);
  const { call, factor } = await enrolled(world);
  await issueRecoveryCodes(world.deps, call);
  assert.equal(await codeOf(removeFactor(world.deps, call, 'fac_00000000000000000000')), 'not-found');
  const removed = await removeFactor(world.deps, call, factor);
  assert.deepEqual(
    removed.map((f) => f.method),
    ['totp', 'recovery-code'],
  );
  assert.deepEqual(await factorsOf(db, call.session.subject), []);
  await offerTotp(world.deps, call);
});

test('a reset takes all factors, the wait, and what the person’s sessions had shown; nobody resets their own', async () => {
  const world = factorWorld(db);
  const { call, secret } = await enrolled(world);
  for (let i = 0; i < 5; i++) await codeOf(useCode(world.deps, call, wrongCode(secret, world.clock.now())));
  const staff = await world.signIn(newSubject());
  const { subject } = call.session;
  assert.equal(await ruleOf(resetFactors(world.deps, call, subject)), 'reset-is-for-others');
  const before = await readEpoch(db);
  assert.equal((await resetFactors(world.deps, staff, subject)).length, 1);
  assert.ok((await readEpoch(db)).value > before.value);
  assert.equal((await tokenById(db, call.session.id))?.factorAt, null);
  assert.deepEqual(await factorsOf(db, subject), []);
  assert.deepEqual(await resetFactors(world.deps, staff, subject), [], 'a second one finds nothing');
  assert.equal(await codeOf(useCode(world.deps, call, totpCode(secret, world.clock.now()))), 'factor-wrong');
});

test('a session that is revoked meanwhile is not stepped up', async () => {
  const world = factorWorld(db);
  const { call, secret } = await enrolled(world);
  const { deps, clock } = world;
  await revokeToken({ db, clock, verifier: deps.verifier }, systemCaller('test'), call.session.id);
  assert.equal(await codeOf(useCode(deps, call, totpCode(secret, clock.now()))), 'token-revoked');
});

test('a secret moves to the present key when it is used, and without its key no code is believed', async () => {
  const world = factorWorld(db);
  const { call, secret, factor } = await enrolled(world);
  const next = factorWorld(db).deps.keys;
  const both = { current: next.current, keys: new Map([...world.deps.keys.keys, ...next.keys]) };
  const deps = { ...world.deps, keys: both };
  const keyId = async (): Promise<unknown> =>
    (await sql<{ key_id: string }>`select key_id from identity_factor where id = ${factor}`.execute(db)).rows[0]
      ?.key_id;
  assert.equal(await keyId(), world.deps.keys.current);
  await useCode(deps, call, totpCode(secret, world.clock.now()));
  assert.equal(await keyId(), next.current);
  world.clock.advance(STEP_MS);
  await useCode({ ...deps, keys: next }, call, totpCode(secret, world.clock.now()));
  world.clock.advance(STEP_MS);
  await assert.rejects(useCode(world.deps, call, totpCode(secret, world.clock.now())), /is not in the file/);
});

test('every event is in the audit log with method and factor, and no secret or code is', async () => {
  const world = factorWorld(db);
  const { call, secret, factor } = await enrolled(world);
  const codes = await issueRecoveryCodes(world.deps, call);
  const right = totpCode(secret, world.clock.now());
  const wrong = wrongCode(secret, world.clock.now());
  await useCode(world.deps, call, right);
  await codeOf(useCode(world.deps, call, wrong));
  await codeOf(useCode(world.deps, call, 'open sesame'));
  await useCode(world.deps, call, codes[3] ?? '');
  await removeFactor(world.deps, call, factor);
  const events = await eventsOf(call);
  assert.deepEqual(
    events.map((r) => `${r.action} ${r.detail['method']}`),
    [
      'factor.enrolled totp',
      'factor.enrolled recovery-code',
      'factor.used totp',
      'factor.failed totp',
      'factor.failed code',
      'factor.used recovery-code',
      'factor.removed totp',
      'factor.removed recovery-code',
    ],
  );
  assert.equal(events[0]?.resource, `factor/${factor}`);
  const text = JSON.stringify(events);
  for (const hidden of [secret, right, wrong, 'sesame', ...codes]) assert.ok(!text.includes(hidden), hidden);
});

async function eventsOf(call: FactorCall): ReturnType<typeof recordsPage> {
  const records = await recordsPage(db, { limit: 10_000 });
  return records.filter((r) => r.callerId === call.session.id).toReversed();
}

/** In no row of any table, as text or in hexadecimal. */
async function nothingHolds(texts: readonly string[]): Promise<void> {
  const tables = await sql<{ name: string }>`select format('%I.%I', schemaname, tablename) as name from pg_tables
    where schemaname not in ('pg_catalog', 'information_schema')`.execute(db);
  for (const { name } of tables.rows)
    for (const text of texts) {
      const held = await sql<{ rows: number }>`select count(*) as rows from ${sql.raw(name)} t
        where strpos(t::text, ${text}) > 0`.execute(db);
      assert.equal(held.rows[0]?.rows, 0, name);
    }
}
