/** Delegation and revocation on a real database: a whole subtree goes at once, whatever is delegated meanwhile. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { systemClock } from '../clock.ts';
import { databaseMigrations, readOutbox } from '../database/index.ts';
import { testDatabase } from '../database/testing.ts';
import { Problem } from '../problems.ts';
import {
  delegateToken,
  type IssuedToken,
  identityMigrations,
  issueToken,
  openTokenVerifier,
  revokeToken,
  systemCaller,
  TOKEN_REVOKED,
  tokenSubtree,
} from './index.ts';
import { exampleFacility as facility, exampleRules as rules } from './token.fixture.ts';
import { callerOf } from './token.ts';

const under = await testDatabase({ after }, [databaseMigrations, { room: 'identity', migrations: identityMigrations }]);
const db = under.database.kysely;
const verifier = await openTokenVerifier(db, systemClock);
after(() => verifier.stop());

const deps = () => ({ db, clock: systemClock, facility, rules, verifier });
const mint = (): Promise<IssuedToken> =>
  issueToken(deps(), systemCaller('test'), {
    project: 'demo',
    environments: ['ace', 'odo'],
    scopes: ['job:read', 'token:delegate'],
    lifetimeSeconds: 600,
  });
const delegate = (parent: IssuedToken): Promise<IssuedToken> =>
  delegateToken(deps(), callerOf(parent.token), {
    scopes: ['job:read', 'token:delegate'],
    lifetimeSeconds: 60 - 20 * parent.token.depth,
  });

test('a child speaks for itself with its own narrower rights, and the tree shows who came from whom', async () => {
  const parent = await mint();
  const child = await delegateToken(deps(), callerOf(parent.token), {
    scopes: ['job:read'],
    environments: ['ace'],
    lifetimeSeconds: 60,
  });
  const caller = await verifier.verify(child.value);
  assert.ok(caller.kind === 'token');
  assert.deepEqual([caller.id, caller.scopes, caller.environments], [child.token.id, ['job:read'], ['ace']]);
  const tree = await tokenSubtree(db, parent.token.id);
  assert.deepEqual(
    tree.map((t) => [t.id, t.parent, t.depth]),
    [
      [parent.token.id, null, 0],
      [child.token.id, parent.token.id, 1],
    ],
  );
});

test('revoking a token revokes all below it at once, tells the outbox of each, and leaves its siblings alone', async () => {
  const root = await mint();
  const [left, right] = [await delegate(root), await delegate(root)];
  const grandchild = await delegate(left);
  await verifier.verify(grandchild.value);
  const heard: string[] = [];
  const reader = readOutbox(under.database, {
    topics: [TOKEN_REVOKED],
    from: 'now',
    clock: systemClock,
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    handle: async (events) => void heard.push(...events.map((e) => e.key)),
  });
  await reader.started;
  await revokeToken(deps(), systemCaller('test'), left.token.id);
  for (const gone of [left, grandchild])
    await assert.rejects(
      verifier.verify(gone.value),
      (e: unknown) => e instanceof Problem && e.code === 'token-revoked',
    );
  assert.equal((await verifier.verify(right.value)).id, right.token.id);
  while (heard.length < 2) await new Promise((resolve) => setImmediate(resolve));
  await reader.stop();
  assert.deepEqual([...heard].sort(), [left.token.id, grandchild.token.id].sort());
});

test('what is delegated while its parent is being revoked is revoked too', async () => {
  for (let round = 0; round < 10; round++) {
    const root = await mint();
    const middle = await delegate(root);
    const made = Promise.allSettled(Array.from({ length: 6 }, (_, i) => delegate(i % 2 === 0 ? root : middle)));
    await revokeToken(deps(), systemCaller('test'), root.token.id);
    await made;
    const alive = (await tokenSubtree(db, root.token.id)).filter((t) => t.revokedAt === null);
    assert.deepEqual(alive, []);
  }
});

test('a revoked parent delegates nothing more', async () => {
  const root = await mint();
  await revokeToken(deps(), systemCaller('test'), root.token.id);
  await assert.rejects(delegate(root), (e: unknown) => e instanceof Problem && e.code === 'token-revoked');
});
