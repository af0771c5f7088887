import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { revokeToken, systemCaller } from '../identity/index.ts';
import { Problem, type ProblemCode } from '../problems.ts';
import { checkAttachments, claimStreams, releaseClaims } from './claim-streams.ts';
import { extendStream } from './extend-stream.ts';
import { issueCredential } from './issue-credential.ts';
import { releaseStream } from './release-stream.ts';
import { revokeIssued } from './revoke-issued.ts';
import { nodeRow } from './store.ts';
import { type StreamingTest, streamingTest } from './testing.ts';

const someone = systemCaller('test');
const signal = new AbortController().signal;
const problem = (code: ProblemCode) => (error: unknown) => error instanceof Problem && error.code === code;
const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

/** A ready stream on a node whose agent has applied everything so far: credentials are active at once. */
async function readyStream(s: StreamingTest, parameters: Record<string, unknown> = {}): Promise<string> {
  await s.sync('dsn01', []);
  const { id } = await s.create(someone, { parameters });
  await s.sync('dsn01', [id], { appliedVersion: 1_000_000 });
  return id;
}

const leaseOf = async (s: StreamingTest, stream: string) => {
  const answer = await s.sync('dsn01', [stream], { appliedVersion: 1_000_000 });
  const lease = answer.leases?.find((l) => l.stream === stream);
  assert.ok(lease !== undefined);
  return lease;
};

const jobOf = (stream: string, issuedTo: string) => ({
  id: 'job_a',
  project: 'demo',
  environment: 'ace',
  issuedTo,
  streams: [{ stream, name: 'frames', role: 'consumer' as const }],
});

test('the password is told once: the node gets its digest, the role and the end', async (t) => {
  const s = await streamingTest(t);
  const stream = await readyStream(s, { lifetimeSeconds: 100 });
  const caller = await s.token();
  const issued = await issueCredential(s.deps, caller, { stream, role: 'producer', signal });
  assert.ok(issued.active);
  assert.equal(issued.endpoint, 'tcp://127.0.0.1:1');
  const lease = await leaseOf(s, stream);
  assert.deepEqual(lease.credentials, [
    {
      id: issued.credential.id,
      role: 'producer',
      username: issued.credential.username,
      passwordDigest: digest(issued.password),
      expiresAtMs: lease.expiresAtMs,
    },
  ]);
  assert.ok(!JSON.stringify(lease).includes(issued.password));
});

test('a credential lives within its template and never longer than its stream', async (t) => {
  const s = await streamingTest(t);
  const stream = await readyStream(s, { lifetimeSeconds: 100 });
  const ask = (lifetimeSeconds: number) =>
    issueCredential(s.deps, someone, { stream, role: 'producer', lifetimeSeconds, signal });
  await assert.rejects(ask(43_201), problem('parameter-out-of-bounds'));
  const short = await ask(5);
  assert.ok(short.credential.expiresAt.getTime() <= s.deps.clock.now() + 5000);
  const long = await ask(1000);
  assert.equal(long.credential.expiresAt.getTime(), long.stream.expiresAt.getTime());
  s.passMs(5001);
  assert.deepEqual(
    (await leaseOf(s, stream)).credentials.map((c) => c.id),
    [long.credential.id],
  );
});

test('there is no credential for a stream that is not ready, released, unknown or admits by address', async (t) => {
  const s = await streamingTest(t);
  const ask = (stream: string) => issueCredential(s.deps, someone, { stream, role: 'consumer', signal });
  await s.sync('dsn01', []);
  const pending = await s.create(someone);
  await assert.rejects(ask(pending.id), problem('conflict'));
  const stream = await readyStream(s);
  await releaseStream(s.deps, stream, 'over');
  await assert.rejects(ask(stream), problem('conflict'));
  await assert.rejects(ask('str_nothing'), problem('not-found'));
  const open = await s.create(someone, {
    template: 'lclstreamer',
    parameters: { consumerListens: ['tcp://127.0.0.1:5'] },
  });
  await s.sync('dsn01', [open.id]);
  await assert.rejects(ask(open.id), problem('conflict'));
});

test('a job is attached only to live streams of its own project and environment that know credentials', async (t) => {
  const s = await streamingTest(t);
  const stream = await readyStream(s);
  const check = (change: object = {}) => checkAttachments(s.deps, { ...jobOf(stream, 'tok_x'), ...change });
  await check();
  await assert.rejects(check({ project: 'beamtime' }), problem('invalid-request'));
  await assert.rejects(check({ environment: 'odo' }), problem('invalid-request'));
  const both = [...jobOf('str_nothing', '').streams, ...jobOf('str_neither', '').streams];
  await assert.rejects(check({ streams: both }), (e) => e instanceof Problem && e.extras.errors?.length === 2);
  await releaseStream(s.deps, stream, 'over');
  await assert.rejects(check(), problem('invalid-request'));
});

test('a repeated hand-over replaces the claims: the earlier secret is void', async (t) => {
  const s = await streamingTest(t);
  const stream = await readyStream(s);
  const [first] = await claimStreams(s.deps, jobOf(stream, 'tok_x'));
  const [second] = await claimStreams(s.deps, jobOf(stream, 'tok_x'));
  assert.ok(first !== undefined && second !== undefined);
  assert.equal(second.url, 'http://127.0.0.1:1/claim');
  assert.deepEqual(
    (await leaseOf(s, stream)).claims.map((c) => c.secretDigest),
    [digest(second.secret)],
  );
  await releaseClaims(s.deps, 'job_a', [stream]);
  assert.deepEqual((await leaseOf(s, stream)).claims, [], 'the claims of an ended job are void');
});

test('when a stream is extended, so are the claims on it', async (t) => {
  const s = await streamingTest(t);
  const stream = await readyStream(s, { lifetimeSeconds: 100 });
  await claimStreams(s.deps, jobOf(stream, 'tok_x'));
  const { expiresAt } = await extendStream(s.deps, stream, 1000);
  s.passMs(200_000);
  const lease = await leaseOf(s, stream);
  assert.deepEqual(
    lease.claims.map((c) => c.expiresAtMs),
    [expiresAt.getTime()],
  );
});

test('a revoked bearer voids its own credentials and claims, and no others', async (t) => {
  const s = await streamingTest(t);
  const stream = await readyStream(s);
  const [mine, theirs] = [await s.token(), await s.token()];
  for (const caller of [mine, theirs]) await issueCredential(s.deps, caller, { stream, role: 'producer', signal });
  await claimStreams(s.deps, jobOf(stream, mine.id));
  assert.equal((await leaseOf(s, stream)).claims.length, 1);
  const before = (await nodeRow(s.db, 'dsn01'))?.version ?? 0;
  await revokeIssued(s.deps, mine.id);
  const lease = await leaseOf(s, stream);
  assert.equal(lease.credentials.length, 1);
  assert.deepEqual(lease.claims, []);
  const after = (await nodeRow(s.db, 'dsn01'))?.version ?? 0;
  assert.ok(after > before);
  await revokeIssued(s.deps, mine.id);
  assert.equal((await nodeRow(s.db, 'dsn01'))?.version, after, 'a second time changes nothing');
});

test('a replica that still believes a revoked bearer gives it nothing', async (t) => {
  const s = await streamingTest(t);
  const stream = await readyStream(s);
  const caller = await s.token();
  const verifier = { verify: async () => caller, refresh: async () => undefined, stop: () => undefined };
  await revokeToken({ db: s.db, clock: s.deps.clock, verifier }, someone, caller.id);
  await assert.rejects(issueCredential(s.deps, caller, { stream, role: 'producer', signal }), problem('token-revoked'));
  await claimStreams(s.deps, jobOf(stream, caller.id));
  const lease = await leaseOf(s, stream);
  assert.deepEqual([lease.credentials, lease.claims], [[], []]);
});
