/** An exported file, verified by itself: whatever is in the records, one changed byte, one line less or one moved is found. */
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CheckpointSigner, checkpointJson, keyIdOf, signCheckpoint } from './checkpoint.ts';
import { type AuditEntry, CHAIN_START, chainDigest, storable } from './record.ts';
import { recordJson } from './record-json.ts';
import { verifyRecords } from './verify-records.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const publicKey = createPublicKey(privateKey);
const signer: CheckpointSigner = {
  keyId: keyIdOf(publicKey),
  sign: (text) => sign(null, Buffer.from(text), privateKey),
};
const keys = new Map([[signer.keyId, publicKey]]);

const base: AuditEntry = {
  at: new Date('2026-01-01T00:00:00Z'),
  requestId: 'req_1',
  phase: 'outcome',
  callerKind: 'token',
  callerId: 'tok_1',
  subject: 'ada',
  project: 'demo',
  action: 'job.submit',
  resource: 'job/job_1',
  status: 201,
  detail: {},
};

/** Lines as the API answers them: from the database's text of the detail, once through JSON. A checkpoint stands behind every fourth. */
function exported(changes: readonly Partial<AuditEntry>[]): string[] {
  let digest: Buffer = CHAIN_START;
  let sequence = 0;
  const lines: string[] = [];
  const add = (change: Partial<AuditEntry>): void => {
    const entry = storable({ ...base, ...change });
    digest = chainDigest(digest, ++sequence, entry);
    const detail = JSON.parse(entry.detailText) as Record<string, unknown>;
    lines.push(JSON.stringify(JSON.parse(JSON.stringify(recordJson({ ...entry, detail, sequence, digest })))));
  };
  for (const [i, change] of changes.entries()) {
    add(change);
    if (i % 4 !== 3) continue;
    const sealed = signCheckpoint(signer, { kind: 'mark', sequence, digest, at: base.at });
    add({ action: 'audit.sealed', phase: 'event', detail: { ...checkpointJson(sealed) } });
  }
  return lines;
}

async function* given(lines: readonly string[]): AsyncGenerator<string> {
  yield* lines;
}

const anyEntry = fc.record({
  subject: fc.string({ unit: 'binary' }),
  project: fc.option(fc.string()),
  status: fc.option(fc.integer({ min: 100, max: 599 })),
  detail: fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()),
});

test('whatever a record holds, it verifies after the way through the API and a file', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyEntry, { maxLength: 9 }), async (entries) => {
      const lines = exported(entries);
      const report = await verifyRecords(given(lines));
      assert.ok(report.intact, JSON.stringify(report));
      assert.equal(report.records, lines.length);
    }),
    { numRuns: 200 },
  );
});

const lines = exported(Array.from({ length: 10 }, (_, i) => ({ requestId: `req_${i}` })));
const found = async (changed: readonly string[], withKeys = true) => {
  const report = await verifyRecords(given(changed), withKeys ? keys : undefined);
  return report.intact ? report : [report.brokenAt, report.type];
};

test('a file with checkpoints of the key is signed up to the last of them', async () => {
  const report = await verifyRecords(given(lines), keys);
  assert.deepEqual(report.intact && [report.records, report.first, report.last, report.signedThrough], [12, 1, 12, 9]);
  const part = await verifyRecords(given(lines.slice(3)), keys);
  assert.deepEqual(part.intact && [part.first, part.signedThrough], [4, 9]);
});

test('a record changed, taken out or moved is named', async () => {
  assert.deepEqual(await found(lines.with(6, (lines[6] ?? '').replace('ada', 'eve'))), [7, 'altered']);
  assert.deepEqual(await found(lines.toSpliced(6, 1)), [7, 'missing']);
  const [a = '', b = ''] = lines.slice(6, 8);
  assert.deepEqual(await found(lines.toSpliced(6, 2, b, a)), [7, 'missing']);
  assert.deepEqual(await found([...lines, lines[0] ?? '']), [13, 'reordered']);
  assert.deepEqual(await found(lines.with(2, 'noise')), [3, 'unreadable']);
});

test('a chain made anew from the begin holds by its links alone, and not against the key', async () => {
  const forged = exported(Array.from({ length: 10 }, (_, i) => ({ requestId: `req_${i}`, subject: 'eve' })));
  const { privateKey: theirs } = generateKeyPairSync('ed25519');
  const theirKeys = new Map([[keyIdOf(createPublicKey(theirs)), createPublicKey(theirs)]]);
  assert.ok((await verifyRecords(given(forged))).intact);
  assert.ok(!(await verifyRecords(given(forged), theirKeys)).intact);
  assert.deepEqual(await found(lines.slice(0, 3)), [1, 'unsigned'], 'nothing in it is sealed');
});

test('one changed character anywhere in a line never passes for the same record', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(lines.length - 1),
      fc.nat(),
      fc.string({ minLength: 1, maxLength: 1 }),
      async (at, where, c) => {
        const line = lines[at] ?? '';
        const position = where % line.length;
        const changed = `${line.slice(0, position)}${c}${line.slice(position + 1)}`;
        if (changed === line) return;
        const report = await verifyRecords(given(lines.with(at, changed)), keys);
        // A line that says the same in other letters (a space, an escape) is the same record.
        if (report.intact) assert.deepEqual(JSON.parse(changed), JSON.parse(line));
      },
    ),
    { numRuns: 500 },
  );
});

test('whatever a file holds, it is read without a failure', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.json(), fc.string(), fc.constantFrom(...lines)), { maxLength: 6 }),
      async (some) => {
        await verifyRecords(given(some), keys);
      },
    ),
  );
});
