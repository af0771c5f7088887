import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { encodeCommand } from './command.ts';
import { encodeFrame, encodeMessage, FLAG_LONG, FLAG_MORE } from './frame.ts';
import { MAX_FRAMES_PER_MESSAGE, scanFrames } from './scan-frames.ts';

const limits = { maxMessageBytes: 5000, maxCommandBytes: 512 };

interface Scanned {
  readonly messages: readonly string[];
  readonly commands: readonly string[];
  readonly violation: string | undefined;
  readonly boundary: boolean;
}

/** Feeds `stream` in the given chunk sizes (then whole), keeping unread octets in front as the relay does. */
function scanInChunks(stream: Buffer, sizes: readonly number[]): Scanned {
  const messages: string[] = [];
  const commands: string[] = [];
  let pieces: Buffer[] = [];
  let held = Buffer.alloc(0);
  const scanner = scanFrames(limits, {
    piece: (start, end) => void pieces.push(Buffer.from(held.subarray(start, end))),
    message() {
      messages.push(Buffer.concat(pieces).toString('hex'));
      pieces = [];
    },
    command: (body) => void commands.push(body.toString('hex')),
  });
  let at = 0;
  for (const size of [...sizes, stream.length]) {
    const chunk = stream.subarray(at, at + size);
    at += chunk.length;
    held = Buffer.concat([held, chunk]);
    held = held.subarray(scanner.scan(held, 0, held.length));
  }
  return { messages, commands, violation: scanner.violation(), boundary: scanner.atBoundary() };
}

const message = fc
  .array(fc.uint8Array({ maxLength: 600 }), { minLength: 1, maxLength: 4 })
  .map((parts) => encodeMessage(parts));
const command = fc.uint8Array({ maxLength: 300 }).map((data) => encodeCommand('PING', data));
const splits = fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 40 });

test('any split of a stream of messages and commands gives the same messages, octet for octet', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(message, command), { maxLength: 12 }), splits, (frames, sizes) => {
      const stream = Buffer.concat(frames);
      const scanned = scanInChunks(stream, sizes);
      assert.deepEqual(scanned, scanInChunks(stream, []));
      assert.equal(scanned.violation, undefined);
      assert.equal(scanned.boundary, true);
      const sent = frames.filter((frame) => ((frame[0] ?? 0) & 4) === 0).map((frame) => frame.toString('hex'));
      assert.deepEqual(scanned.messages, sent);
    }),
  );
});

test('random octets in any split end the same way and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), splits, (octets, sizes) => {
      assert.deepEqual(scanInChunks(Buffer.from(octets), sizes), scanInChunks(Buffer.from(octets), []));
    }),
    { numRuns: Number(process.env['BEAMWAY_SOAK_RUNS'] ?? 500) },
  );
});

test('a stream cut in two at every offset gives the same messages', () => {
  const stream = Buffer.concat([
    encodeMessage([Buffer.alloc(3, 1), Buffer.alloc(0), Buffer.alloc(300, 2)]),
    encodeCommand('PING', Buffer.from([0, 0, 9])),
    encodeMessage([Buffer.alloc(256, 3)]),
  ]);
  const whole = scanInChunks(stream, []);
  for (let at = 0; at <= stream.length; at += 1) assert.deepEqual(scanInChunks(stream, [at]), whole, `cut at ${at}`);
});

test('a command between the parts of a message is taken out of it', () => {
  const first = encodeFrame(FLAG_MORE, Buffer.from('head'));
  const last = encodeFrame(0, Buffer.from('tail'));
  const scanned = scanInChunks(Buffer.concat([first, encodeCommand('PING', Buffer.alloc(2)), last]), [3, 4, 5]);
  assert.deepEqual(scanned.messages, [Buffer.concat([first, last]).toString('hex')]);
  assert.equal(scanned.commands.length, 1);
});

test('a message of exactly the limit passes, one octet more is refused before its body is read', () => {
  assert.equal(scanInChunks(encodeMessage([Buffer.alloc(2500), Buffer.alloc(2500)]), []).messages.length, 1);
  const announced = encodeMessage([Buffer.alloc(2500), Buffer.alloc(2501)]).subarray(0, 2600);
  assert.equal(scanInChunks(announced, []).violation, 'message larger than 5000 bytes');
});

test('a length of 2^63 and more is a message too large, not an overflow', () => {
  const header = Buffer.from([FLAG_LONG, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
  assert.equal(scanInChunks(header, []).violation, 'message larger than 5000 bytes');
});

test('reserved flags, a command with MORE, an oversized command and endless empty frames are refused', () => {
  assert.match(scanInChunks(Buffer.from([0x08, 0]), []).violation ?? '', /flags 0x08/);
  assert.match(scanInChunks(Buffer.from([0x05, 0]), []).violation ?? '', /flags 0x05/);
  assert.match(scanInChunks(encodeCommand('PING', Buffer.alloc(600)), []).violation ?? '', /command larger than 512/);
  const empty = Buffer.alloc(2 * (MAX_FRAMES_PER_MESSAGE + 1), Buffer.from([FLAG_MORE, 0]));
  assert.match(scanInChunks(empty, []).violation ?? '', /more than 65536 frames/);
});
