/** A replica that has not yet read the last epoch makes nothing: what a mint rests on is held in its own transaction. Real PostgreSQL. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { systemClock } from '../../clock.ts';
import { databaseMigrations } from '../../database/index.ts';
import { testDatabase } from '../../database/testing.ts';
import { Problem } from '../../problems.ts';
import {
  type Caller,
  callerOf,
  delegateToken,
  identityMigrations,
  issueSession,
  issueToken,
  lastLockdown,
  liftLockdown,
  openTokenVerifier,
  renewToken,
  revokeToken,
  rotateToken,
  setLockdown,
  systemCaller,
  tokensPage,
} from '../index.ts';
import { exampleFacility as facility, exampleRules as rules } from '../token.fixture.ts';

const under = await testDatabase({ after }, [databaseMigrations, { room: 'identity', migrations: identityMigrations }]);
const db = under.database.kysely;
const verifier = await openTokenVerifier(db, systemClock);
after(() => verifier.stop());
const deps = { db, clock: systemClock, facility, rules, verifier };
const staff = systemCaller('test');
const WISH = {
  project: 'demo',
  environments: ['ace'],
  scopes: ['job:read', 'token:delegate'],
  lifetimeSeconds: 600,
  renewableDays: 1,
};

const person = async (): Promise<Caller> =>
  callerOf((await issueSession(deps, { subject: 'ada', roles: ['member'], lifetimeSeconds: 600, by: 'test' })).token);
const coded = (code: string) => (thrown: unknown) => thrown instanceof Problem && thrown.code === code;

test('a session that was revoked mints nothing, whatever this replica still believes of it', async () => {
  const session = await person();
  await issueToken(deps, session, WISH);
  await revokeToken(deps, staff, session.id);
  await assert.rejects(issueToken(deps, session, WISH), coded('token-revoked'));
  assert.equal((await tokensPage(db, { kind: 'token', limit: 10 })).length, 1);
});

test('in a lockdown nothing is minted, delegated, renewed or rotated; set and lifted twice are set and lifted once', async () => {
  const session = await person();
  const { token } = await issueToken(deps, session, WISH);
  const caller = callerOf(token);
  const first = await setLockdown(deps, staff, 'a drill');
  assert.equal((await setLockdown(deps, staff, 'another')).id, first.id);
  assert.ok(verifier.lockedDown());
  for (const make of [
    () => issueToken(deps, session, WISH),
    () => delegateToken(deps, caller, { scopes: ['job:read'], lifetimeSeconds: 60 }),
    () => renewToken(deps, caller, {}),
    () => rotateToken(deps, caller, {}),
  ])
    await assert.rejects(make(), coded('refused'));
  const lifted = await liftLockdown(deps, staff, 'over');
  assert.equal(lifted?.id, first.id);
  assert.equal(await liftLockdown(deps, staff, 'over'), undefined);
  assert.equal((await lastLockdown(db))?.liftReason, 'over');
  assert.ok(!verifier.lockedDown());
  await issueToken(deps, session, WISH);
});

test('mints and a lockdown at once: after it was answered there is no new token', async () => {
  const session = await person();
  const mints = Array.from({ length: 30 }, () => issueToken(deps, session, WISH).catch(() => undefined));
  await setLockdown(deps, staff, 'a race');
  const then = (await tokensPage(db, { kind: 'token', limit: 1000 })).length;
  await Promise.all(mints);
  assert.equal((await tokensPage(db, { kind: 'token', limit: 1000 })).length, then);
  await liftLockdown(deps, staff, 'over');
});
