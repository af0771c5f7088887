import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { testClaim, testLease } from './lease.fixture.ts';
import { leaseFile, type NodeMemory } from './lease-file.ts';

const MEMORY: NodeMemory = {
  version: 7,
  leases: [testLease({ claims: [testClaim('clm_a', 'secret')] })],
  linkedAtMs: 5000,
  claimPort: 4321,
  ports: { str_a: { port: 1234 }, str_b: { port: 1, consumerPort: 2 } },
  usage: { str_a: { bytes: 5_000_000_000, messages: 7, reached: '' } },
  claimed: [
    {
      claim: 'clm_a',
      attempt: 2,
      credential: { id: 'clm_a.2', stream: 'str_a', role: 'consumer', username: 'clm_a.2', passwordDigest: 'ab' },
    },
  ],
  events: [{ id: 'e', atMs: 1, stream: 'str_a', kind: 'refused', detail: { reason: 'why', times: 3 } }],
};

function opened(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), 'beamway-lease-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const damage: string[] = [];
  const open = () => leaseFile(join(dir, 'state'), (detail) => void damage.push(detail));
  return { path: join(dir, 'state', 'leases.json'), folder: join(dir, 'state'), damage, open, file: open() };
}

test('what was written is read again by the next agent', (t) => {
  const { file, open } = opened(t);
  assert.deepEqual(file.read().leases, []);
  file.write(MEMORY);
  assert.deepEqual(open().read(), MEMORY);
});

test('the file is for its owner only, whatever it was before, and nothing else is left beside it', (t) => {
  const { file, path, folder } = opened(t);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  file.write(MEMORY);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  chmodSync(path, 0o644);
  file.write({ ...MEMORY, version: 8 });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(folder), ['leases.json']);
});

test('it is replaced, never written over: who has it open sees the old one whole', (t) => {
  const { file, path } = opened(t);
  file.write(MEMORY);
  const before = statSync(path).ino;
  file.write({ ...MEMORY, version: 8 });
  assert.notEqual(statSync(path).ino, before);
});

test('a write that was cut leaves the file of before', (t) => {
  const { file, path, open } = opened(t);
  file.write(MEMORY);
  writeFileSync(`${path}.new`, JSON.stringify(MEMORY).slice(0, 40), { mode: 0o600 });
  assert.deepEqual(open().read(), MEMORY);
  file.write({ ...MEMORY, version: 8 });
  assert.equal(open().read().version, 8);
});

test('a damaged file counts as empty and is reported, however it is damaged', (t) => {
  const { file, path, damage } = opened(t);
  file.write(MEMORY);
  const text = readFileSync(path, 'utf8');
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ maxLength: 5 }), fc.boolean(), (at, junk, cut) => {
      writeFileSync(path, cut ? text.slice(0, at) : text.slice(0, at) + junk + text.slice(at + 1));
      const seen = damage.length;
      const memory = file.read();
      if (damage.length === seen) return;
      assert.deepEqual(memory, {
        version: 0,
        leases: [],
        linkedAtMs: 0,
        claimPort: 0,
        ports: {},
        usage: {},
        claimed: [],
        events: [],
      });
    }),
  );
  for (const wrong of ['', 'null', '[]', '{}', '{"version":"1"}', JSON.stringify({ ...MEMORY, surprise: 1 })]) {
    writeFileSync(path, wrong);
    const seen = damage.length;
    assert.deepEqual(file.read().leases, [], wrong);
    assert.equal(damage.length, seen + 1, wrong);
  }
});

test('a file of before claims had a port of their own, and use was counted, is still read', (t) => {
  const { file, path } = opened(t);
  const { claimPort: _, usage: __, ...older } = MEMORY;
  writeFileSync(path, JSON.stringify(older));
  assert.deepEqual(file.read(), { ...MEMORY, claimPort: 0, usage: {} });
});
