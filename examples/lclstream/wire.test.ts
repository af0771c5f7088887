import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseFrameMessage, parseResultMessage, viewPixels } from './frame-message.ts';
import { parseStreamAttachments, pickStream, readStreamAttachments } from './stream-attachment.ts';

const HEADER = {
  kind: 'frame',
  sequence: 3,
  producer: 'p',
  position: { row: 1, column: 2 },
  shape: [2, 3],
  dtype: 'uint16',
  sentAtMs: 1.5,
} as const;
const STREAM = {
  role: 'consumer',
  endpoint: 'tcp://127.0.0.1:5555',
  username: 'u',
  password: 'p',
  delivery: 'redeliver',
} as const;

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

test('a frame message is read whole', () => {
  const header = { ...HEADER, beamCentre: { x: 1, y: 2 }, saturation: 9 };
  const message = parseFrameMessage([json(header), Buffer.alloc(12)]);
  assert.deepEqual(message.header, header);
});

test('pixel bytes that do not fit shape and dtype are refused', () => {
  assert.throws(() => parseFrameMessage([json(HEADER), Buffer.alloc(11)]), /11 pixel bytes/);
  assert.throws(() => parseFrameMessage([json(HEADER)]), /0 pixel bytes/);
  assert.throws(() => parseFrameMessage([json({ ...HEADER, dtype: 'int32' }), Buffer.alloc(12)]), /say 24/);
});

test('an end message and the three result messages are read', () => {
  const end = { kind: 'end', sequence: 9, producer: 'p', sentAtMs: 1 };
  assert.deepEqual(parseFrameMessage([json(end)]), { kind: 'end', header: end });
  assert.deepEqual(parseResultMessage(json({ kind: 'hello', worker: 'w' })), { kind: 'hello', worker: 'w' });
  const result = {
    kind: 'result',
    sequence: 0,
    digest: 'ab',
    worker: 'w',
    peaks: [[1, 2, 3]],
    hit: true,
    position: { row: 0, column: 0 },
    sentAtMs: 1,
    receivedAtMs: 2,
    doneAtMs: 3,
  };
  assert.deepEqual(parseResultMessage(json(result)), result);
  assert.throws(() => parseResultMessage(json({ ...result, peaks: [[1, 2]] })), /a peak must be/);
});

test('no bytes on the wire make the parsers throw anything but an Error with words', () => {
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    fc.json().map((text) => Buffer.from(text)),
    fc
      .dictionary(fc.constantFrom('kind', 'shape', 'dtype', 'sequence', 'position', 'worker', 'peaks'), fc.jsonValue())
      .map(json),
  );
  fc.assert(
    fc.property(anything, (bytes) => {
      for (const parse of [() => parseFrameMessage([bytes, bytes]), () => parseResultMessage(bytes)]) {
        try {
          parse();
        } catch (error) {
          assert.ok(error instanceof Error && error.message !== '' && !(error instanceof TypeError), String(error));
        }
      }
    }),
    { numRuns: 1000 },
  );
});

test('pixels are viewed in place when aligned, copied when not', () => {
  const memory = Buffer.from(Uint16Array.of(1, 2, 3, 4).buffer);
  assert.equal(viewPixels(memory, 'uint16').buffer, memory.buffer);
  const shifted = Buffer.concat([Buffer.of(0), memory]).subarray(1);
  assert.deepEqual([...viewPixels(shifted, 'uint16')], [1, 2, 3, 4]);
});

test('an attachment is read, and a wrong field is named without its value', () => {
  const streams = parseStreamAttachments(JSON.stringify({ streams: { frames: STREAM } }));
  assert.deepEqual(pickStream(streams, 'frames', 'consumer'), STREAM);
  assert.throws(() => pickStream(streams, 'frames', 'producer'), /attached as consumer/);
  assert.throws(() => pickStream(streams, 'results', 'producer'), /no stream results/);
  for (const [field, value] of Object.entries({
    role: 'x',
    endpoint: 'ipc:///s3cret',
    password: 7,
    delivery: 's3cret',
  })) {
    const text = JSON.stringify({ streams: { frames: { ...STREAM, [field]: value } } });
    assert.throws(
      () => parseStreamAttachments(text),
      (error: Error) => error.message.includes(`streams.frames.${field}`) && !error.message.includes('s3cret'),
    );
  }
  assert.throws(() => parseStreamAttachments('{'), /not JSON/);
});

test('an attachment file that others may read is refused', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'beamway-attachment-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'streams.json');
  await writeFile(path, JSON.stringify({ streams: { frames: STREAM } }), { mode: 0o600 });
  assert.deepEqual(await readStreamAttachments(path), { frames: STREAM });
  await chmod(path, 0o640);
  await assert.rejects(readStreamAttachments(path), /may be read by others/);
});
