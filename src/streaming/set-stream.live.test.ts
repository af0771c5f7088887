// Parameters of a stream that lives: within the template's bounds and its node's room; what cannot be changed is refused with what to do.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemCaller } from '../identity/index.ts';
import { Problem, type ProblemCode } from '../problems.ts';
import { drainStream } from './drain-stream.ts';
import { setStream } from './set-stream.ts';
import { nodeRow, streamById } from './store.ts';
import { nodeNamed, streamingTest } from './testing.ts';

const someone = systemCaller('test');
const problem = (code: ProblemCode) => (error: unknown) => error instanceof Problem && error.code === code;
const ROOM = 5 * 65_536;

test('what is changed is in the stream and in the lease, under a new version; the same again changes nothing', async (t) => {
  const s = await streamingTest(t);
  await s.sync('dsn01', []);
  const { id, parameters } = await s.create(someone);
  const given = { bufferBytes: 131_072, byteQuota: 10_000, externalAddresses: ['192.0.2.0/24'] };
  const before = (await nodeRow(s.db, 'dsn01'))?.version ?? 0;
  await setStream(s.deps, someone, { id, parameters: given });
  const after = await streamById(s.db, id);
  assert.deepEqual(after?.parameters, { ...parameters, ...given });
  const { leases, version } = await s.sync('dsn01', [id], { knownVersion: 0 });
  assert.equal(version, before + 1);
  const { bufferBytes, byteQuota, externalAddresses, messageQuota } = leases?.[0] ?? {};
  assert.deepEqual({ bufferBytes, byteQuota, externalAddresses, messageQuota }, { ...given, messageQuota: 0 });
  await setStream(s.deps, someone, { id, parameters: given });
  assert.equal((await nodeRow(s.db, 'dsn01'))?.version, version);
});

test('a buffer grows only into its node’s room, whoever asks at once', async (t) => {
  const s = await streamingTest(t, [nodeNamed('dsn01', { streams: 10, bufferBytes: ROOM })]);
  await s.sync('dsn01', []);
  const [a, b] = [await s.create(someone), await s.create(someone)];
  const grow = (id: string) => setStream(s.deps, someone, { id, parameters: { bufferBytes: 4 * 65_536 } });
  const results = await Promise.allSettled([
    grow(a.id),
    grow(b.id),
    s.create(someone, { parameters: { bufferBytes: 3 * 65_536 } }),
  ]);
  assert.equal(results.filter((r) => r.status === 'fulfilled').length, 1);
  for (const r of results) if (r.status === 'rejected') assert.ok(problem('no-capacity')(r.reason), String(r.reason));
});

test('bounds are those of creation; a lifetime, and whatever is draining, is refused', async (t) => {
  const s = await streamingTest(t);
  await s.sync('dsn01', []);
  const { id } = await s.create(someone);
  for (const parameters of [{ bufferBytes: 1 }, { lifetimeSeconds: 60 }, { other: 1 }, { externalAddresses: ['host'] }])
    await assert.rejects(setStream(s.deps, someone, { id, parameters }), problem('parameter-out-of-bounds'));
  await drainStream(s.deps, id, 60);
  await assert.rejects(setStream(s.deps, someone, { id, parameters: { byteQuota: 1 } }), problem('conflict'));
});
