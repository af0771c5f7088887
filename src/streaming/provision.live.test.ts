import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemCaller } from '../identity/index.ts';
import { Problem, type ProblemCode } from '../problems.ts';
import { expireStreams } from './expire-streams.ts';
import { extendStream } from './extend-stream.ts';
import { releaseStream } from './release-stream.ts';
import { liveStreams, nodeRow, streamById } from './store.ts';
import { NODE_SILENT_MS, streamState } from './stream.ts';
import { nodeNamed, streamingTest } from './testing.ts';

const someone = systemCaller('test');
const problem = (code: ProblemCode) => (error: unknown) => error instanceof Problem && error.code === code;

test('no stream is placed while no node is linked, and the refusal says so', async (t) => {
  const s = await streamingTest(t);
  await assert.rejects(
    s.create(someone),
    (error) => problem('no-capacity')(error) && /dsn01 is not linked/.test(String(error)),
  );
  await s.sync('dsn01', []);
  assert.equal((await s.create(someone)).node, 'dsn01');
  s.passMs(NODE_SILENT_MS + 60_000);
  await assert.rejects(s.create(someone), problem('no-capacity'));
});

test('the same key gives the same stream, one after the other and all at once', async (t) => {
  const s = await streamingTest(t);
  await s.sync('dsn01', []);
  const first = await s.create(someone, { key: 'one' });
  assert.equal((await s.create(someone, { key: 'one', name: 'b' })).id, first.id);
  const together = await Promise.all(Array.from({ length: 8 }, () => s.create(someone, { key: 'two' })));
  assert.equal(new Set(together.map((x) => x.id)).size, 1);
  assert.equal((await liveStreams(s.db)).length, 2);
  assert.notEqual((await s.create(someone)).id, (await s.create(someone)).id, 'without a key each is a new one');
});

test('however many ask at once, nodes and projects stay within what they may carry', async (t) => {
  const s = await streamingTest(t, [
    nodeNamed('dsn01', { streams: 3, bufferBytes: 2 ** 30 }),
    nodeNamed('dsn02', { streams: 100, bufferBytes: 5 * 65_536 }),
  ]);
  await s.sync('dsn01', []);
  await s.sync('dsn02', []);
  const results = await Promise.allSettled(Array.from({ length: 16 }, () => s.create(someone)));
  const refused = results.filter((r) => r.status === 'rejected');
  assert.equal(refused.length, 16 - 3 - 5);
  for (const r of refused) assert.ok(problem('no-capacity')(r.reason), String(r.reason));
  const byNode = Map.groupBy(await liveStreams(s.db), (x) => x.node);
  assert.equal(byNode.get('dsn01')?.length, 3);
  assert.equal(byNode.get('dsn02')?.length, 5);
  const small = { ...s.target.project, limits: { ...s.target.project.limits, streams: 8 } };
  await assert.rejects(s.create(someone, { target: { ...s.target, project: small } }), problem('limit-reached'));
});

test('a template that the environment does not allow, and parameters beyond their bounds, are refused with all faults', async (t) => {
  const s = await streamingTest(t);
  await s.sync('dsn01', []);
  const seeker = s.deps.facility.environments.get('seeker');
  assert.ok(seeker !== undefined);
  await assert.rejects(
    s.create(someone, { target: { ...s.target, environment: seeker }, template: 'lclstreamer' }),
    problem('invalid-request'),
  );
  await assert.rejects(s.create(someone, { template: 'nowhere' }), problem('invalid-request'));
  await assert.rejects(s.create(someone, { parameters: { bufferBytes: 1, lifetimeSeconds: 1 } }), (error) => {
    assert.ok(error instanceof Problem && error.code === 'parameter-out-of-bounds');
    return error.extras.errors?.length === 2;
  });
  assert.deepEqual(await liveStreams(s.db), []);
});

test('a stream lives longer when told, within its template, and never shorter', async (t) => {
  const s = await streamingTest(t);
  await s.sync('dsn01', []);
  const { id, expiresAt } = await s.create(someone, { parameters: { lifetimeSeconds: 100 } });
  assert.equal((await extendStream(s.deps, id, 10)).expiresAt.getTime(), expiresAt.getTime());
  const longer = await extendStream(s.deps, id, 200);
  assert.ok(longer.expiresAt.getTime() > expiresAt.getTime());
  assert.deepEqual((await streamById(s.db, id))?.expiresAt, longer.expiresAt);
  await assert.rejects(extendStream(s.deps, id, 604_801), problem('parameter-out-of-bounds'));
  await assert.rejects(extendStream(s.deps, 'str_nothing', 10), problem('not-found'));
  const many = [300, 250, 400, 350, 260];
  const ends = await Promise.all(many.map((seconds) => extendStream(s.deps, id, seconds)));
  assert.deepEqual(
    (await streamById(s.db, id))?.expiresAt.getTime(),
    Math.max(...ends.map((x) => x.expiresAt.getTime())),
  );
  await releaseStream(s.deps, id, 'over');
  await assert.rejects(extendStream(s.deps, id, 200), problem('conflict'));
});

test('a stream is released only when its node holds it no more, and the first reason stays', async (t) => {
  const s = await streamingTest(t);
  const state = async (id: string) => {
    const stream = await streamById(s.db, id);
    assert.ok(stream !== undefined);
    return streamState(stream, s.deps.clock.now());
  };
  await s.sync('dsn01', []);
  const { id } = await s.create(someone);
  assert.equal((await state(id)).state, 'pending');
  await s.sync('dsn01', [id]);
  assert.equal((await state(id)).state, 'ready');
  await releaseStream(s.deps, id, 'first');
  const version = (await nodeRow(s.db, 'dsn01'))?.version;
  await releaseStream(s.deps, id, 'second');
  assert.equal((await nodeRow(s.db, 'dsn01'))?.version, version, 'a second release changes nothing');
  assert.deepEqual((await s.sync('dsn01', [id])).leases, [], 'the node is told to let go');
  assert.deepEqual(await state(id), { state: 'releasing', reason: 'first' });
  await s.sync('dsn01', []);
  assert.deepEqual(await state(id), { state: 'released', reason: 'first' });
  assert.deepEqual(await liveStreams(s.db), []);
  await assert.rejects(releaseStream(s.deps, 'str_nothing', 'x'), problem('not-found'));
});

test('what has outlived its time is released by the sweep, once, and nothing else is', async (t) => {
  const s = await streamingTest(t);
  await s.sync('dsn01', []);
  const short = await s.create(someone, { parameters: { lifetimeSeconds: 10 } });
  const long = await s.create(someone, { parameters: { lifetimeSeconds: 100 } });
  assert.deepEqual(await expireStreams(s.deps), []);
  s.passMs(10_500);
  assert.deepEqual(await expireStreams(s.deps), [short.id]);
  assert.deepEqual(await expireStreams(s.deps), []);
  assert.equal((await streamById(s.db, short.id))?.releaseReason, 'its lifetime is over');
  assert.equal((await streamById(s.db, long.id))?.releaseRequestedAt, null);
});

test('a node reports for itself only, and waits for news of its own', async (t) => {
  const s = await streamingTest(t, [
    nodeNamed('dsn01', { streams: 1, bufferBytes: 2 ** 30 }),
    nodeNamed('dsn02', { streams: 1, bufferBytes: 2 ** 20 }),
  ]);
  await assert.rejects(s.sync('dsn01', [], { node: 'dsn02' }), problem('refused'));
  await assert.rejects(s.sync('nowhere', []), problem('not-found'));
  const { version } = await s.sync('dsn01', []);
  await s.sync('dsn02', []);
  assert.deepEqual(await s.sync('dsn01', [], { knownVersion: version, waitMs: 1 }), {
    version,
    leases: null,
    acceptedEvents: [],
  });
  const waiting = s.sync('dsn01', [], { knownVersion: version, waitMs: 30_000 });
  const { id } = await s.create(someone);
  const news = await waiting;
  assert.ok(news.version > version);
  assert.deepEqual(
    news.leases?.map((l) => l.stream),
    [id],
  );
});

test('events of a node are audited under the project of their stream, and acknowledged', async (t) => {
  const s = await streamingTest(t);
  await s.sync('dsn01', []);
  const { id } = await s.create(someone);
  const event = { id: 'e1', atMs: 5, stream: id, kind: 'refused', detail: { reason: 'why' } };
  const appended: { project: string | null; action: string }[] = [];
  const audit = {
    ...s.deps.audit,
    append: async (entry: (typeof appended)[number]) =>
      void appended.push({ project: entry.project, action: entry.action }),
  };
  Object.assign(s.deps, { audit });
  assert.deepEqual((await s.sync('dsn01', [id], { events: [event] })).acceptedEvents, ['e1']);
  assert.deepEqual(appended, [{ project: 'demo', action: 'stream.refused' }]);
});
