import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { answerPing, encodeCommand, readCommand, readHello, readMetadata } from './command.ts';
import { encodeFrame } from './frame.ts';
import { readSmallFrames } from './read-frames.ts';

test('small frames come out whole, an unfinished one stays unread', () => {
  const stream = Buffer.concat([
    encodeFrame(0, Buffer.from('one')),
    encodeCommand('PONG'),
    encodeFrame(0, Buffer.from('three')),
  ]);
  for (let cut = 0; cut <= stream.length; cut += 1) {
    const first = readSmallFrames(stream, 0, cut);
    const second = readSmallFrames(stream, first.end, stream.length);
    assert.deepEqual(
      [...first.frames, ...second.frames].map(({ body, command }) => `${command}:${body}`),
      ['false:one', 'true:\x04PONG', 'false:three'],
    );
  }
});

test('random octets never throw and never read past the end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (octets) => {
      const bytes = Buffer.from(octets);
      const read = readSmallFrames(bytes, 0, bytes.length);
      assert.ok(read.end <= bytes.length);
      readCommand(bytes);
      readHello(bytes);
      readMetadata(bytes);
      answerPing(bytes);
    }),
    { numRuns: Number(process.env['BEAMWAY_SOAK_RUNS'] ?? 1000) },
  );
});

test('a PING is answered with its context, one with too long a context is malformed', () => {
  assert.deepEqual(answerPing(Buffer.from('\0\0ctx')), encodeCommand('PONG', Buffer.from('ctx')));
  assert.equal(answerPing(Buffer.alloc(19)), undefined);
  assert.equal(answerPing(Buffer.alloc(1)), undefined);
});
