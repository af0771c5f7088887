/** A credential that is issued while its bearer is being revoked; and what a revocation cannot reach at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { systemClock } from '../clock.ts';
import { type Queries, transaction } from '../database/index.ts';
import { revokeToken, systemCaller } from '../identity/index.ts';
import { claimStreams } from './claim-streams.ts';
import { issueCredential } from './issue-credential.ts';
import { pendingRevocations } from './pending-revocations.ts';
import { releaseStream } from './release-stream.ts';
import { revokeIssued } from './revoke-issued.ts';
import { type StreamingTest, streamingTest } from './testing.ts';

const someone = systemCaller('test');
const signal = new AbortController().signal;
const verifier = { refresh: async () => undefined };

async function readyStream(s: StreamingTest): Promise<string> {
  await s.sync('dsn01', []);
  const { id } = await s.create(someone, { parameters: { lifetimeSeconds: 7200 } });
  await s.sync('dsn01', [id], { appliedVersion: 1_000_000 });
  return id;
}

async function credentialsOf(s: StreamingTest, stream: string): Promise<number> {
  const { leases } = await s.sync('dsn01', [stream], { appliedVersion: 1_000_000 });
  return leases?.find((l) => l.stream === stream)?.credentials.length ?? -1;
}

/** Resolves when so many sessions wait for a lock of this database. */
async function waiting(db: Queries, count: number): Promise<void> {
  const end = systemClock.monotonic() + 10_000;
  for (;;) {
    const found = await sql<{ n: number }>`select count(*)::int as n from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`.execute(db);
    if ((found.rows[0]?.n ?? 0) >= count) return;
    assert.ok(systemClock.monotonic() < end, `${count} sessions wait within 10 s`);
    await new Promise((next) => setImmediate(next));
  }
}

test('a credential that is half issued when its bearer is revoked is voided all the same', async (t) => {
  const s = await streamingTest(t);
  const stream = await readyStream(s);
  const caller = await s.token();
  let revoked = false;
  const done: Promise<unknown>[] = [];
  // The credential is written and its bearer was found good, but it cannot be committed: somebody holds its node's row.
  await transaction(s.db, async (trx) => {
    await sql`select from streaming_node where name = 'dsn01' for update`.execute(trx);
    done.push(issueCredential(s.deps, caller, { stream, role: 'producer', signal }));
    await waiting(s.db, 1);
    const revocation = revokeToken({ db: s.db, clock: s.deps.clock, verifier }, someone, caller.id).then(() => {
      revoked = true;
      return revokeIssued(s.deps, caller.id);
    });
    done.push(revocation);
    await Promise.race([waiting(s.db, 2), revocation]);
    assert.ok(!revoked, 'the revocation waits for the credential, so that it finds it');
  });
  await Promise.all(done);
  assert.equal(await credentialsOf(s, stream), 0);
});

test('racing with its revocation, a bearer is left with no credential', async (t) => {
  const s = await streamingTest(t);
  const stream = await readyStream(s);
  for (let round = 0; round < 10; round++) {
    const caller = await s.token();
    const asked = Promise.allSettled(
      [1, 2, 3].map(() => issueCredential(s.deps, caller, { stream, role: 'producer', signal })),
    );
    await revokeToken({ db: s.db, clock: s.deps.clock, verifier }, someone, caller.id);
    await revokeIssued(s.deps, caller.id);
    await s.sync('dsn01', [stream], { appliedVersion: 1_000_000 });
    await asked;
    assert.equal(await credentialsOf(s, stream), 0);
  }
});

test('what cannot be cut at once is listed, per stream, with its end at the latest; what is linked, void, over or another’s is not', async (t) => {
  const s = await streamingTest(t);
  const stream = await readyStream(s);
  const [mine, theirs, claimed] = [await s.token(), await s.token(), await s.token()];
  for (const caller of [mine, theirs]) await issueCredential(s.deps, caller, { stream, role: 'producer', signal });
  await claimStreams(s.deps, {
    id: 'job_a',
    project: 'demo',
    environment: 'ace',
    issuedTo: claimed.id,
    streams: [{ stream, name: 'frames', role: 'consumer' }],
  });
  const pending = (...tokens: { readonly id: string }[]) =>
    pendingRevocations(
      s.deps,
      tokens.map((token) => token.id),
    );
  assert.deepEqual(await pending(mine), [], 'its node is linked');
  // Cut while the node was linked: nothing of it is open when the node goes away later.
  await revokeIssued(s.deps, theirs.id);
  s.passMs(20_000);
  await s.sync('dsn01', [stream], { appliedVersion: 1_000_000 });
  const seenMs = s.deps.clock.now();
  s.passMs(15_000);
  const [one, ...others] = await pending(mine);
  assert.deepEqual([one?.node, one?.stream, others], ['dsn01', stream, []]);
  // Offline lifetime of lcls-results (3600 s), and the silence that still counts as linked.
  assert.ok(Math.abs((one?.until.getTime() ?? 0) - (seenMs + 3_600_000 + 10_000)) < 2000);
  assert.equal((await pending(claimed)).length, 1, 'a job’s claim counts as well');
  assert.deepEqual(await pending(theirs), []);
  assert.deepEqual(await pending(), []);
  assert.deepEqual(await pending({ id: 'tok_of_nobody' }), []);
  s.passMs(3_610_000);
  assert.deepEqual(await pending(mine), [], 'by now it was cut by itself');
  await releaseStream(s.deps, stream, 'over');
});
