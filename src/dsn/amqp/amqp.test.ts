// Frames read and walked whatever the pieces they come in; what is no frame is told, never thrown.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { closeFrame, FRAME, METHOD, methodFrame, methodOf, readFrame, readShortString, shortString } from './frame.ts';
import { frameWalker } from './walk-frames.ts';

const MOST = 4096;
const u = (bytes: number, value: number): Buffer => {
  const octets = Buffer.alloc(bytes);
  octets.writeUIntBE(value, 0, bytes);
  return octets;
};
const frame = (type: number, channel: number, payload: Uint8Array): Buffer =>
  Buffer.concat([u(1, type), u(2, channel), u(4, payload.length), payload, u(1, 0xce)]);
const content = (channel: number, body: Uint8Array, piece: number): Buffer => {
  const head = Buffer.concat([u(2, 60), u(2, 0), u(4, 0), u(4, body.length), u(2, 0)]);
  const parts = [frame(FRAME.header, channel, head)];
  for (let at = 0; at < body.length; at += piece) parts.push(frame(FRAME.body, channel, body.subarray(at, at + piece)));
  return Buffer.concat(parts);
};
const publish = (channel: number, key: string, body: Uint8Array, piece: number): Buffer =>
  Buffer.concat([
    frame(
      FRAME.method,
      channel,
      Buffer.concat([u(4, METHOD.publish), u(2, 0), shortString(''), shortString(key), u(1, 0)]),
    ),
    content(channel, body, piece),
  ]);
const deliver = (tag: string, again: boolean, body: Uint8Array, piece: number): Buffer =>
  Buffer.concat([
    frame(
      FRAME.method,
      1,
      Buffer.concat([
        u(4, METHOD.deliver),
        shortString(tag),
        u(4, 0),
        u(4, 7),
        u(1, again ? 1 : 0),
        shortString('x'),
        shortString('k'),
      ]),
    ),
    content(1, body, piece),
  ]);

/** Cuts octets at the given places. */
function pieces(octets: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set([0, ...cuts.map((c) => c % (octets.length + 1)), octets.length])].sort((a, b) => a - b);
  return places.slice(1).map((end, i) => octets.subarray(places[i], end));
}

test('a method frame is read as it was written, and is `more` at every cut before its end', () => {
  const octets = closeFrame(320, 'its credential was revoked');
  for (let cut = 0; cut < octets.length; cut++)
    assert.deepEqual(readFrame(octets.subarray(0, cut), 0, MOST), { kind: 'more' });
  const read = readFrame(octets, 0, MOST);
  assert.ok(read.kind === 'frame' && read.end === octets.length);
  assert.equal(methodOf(read.frame), METHOD.close);
  assert.equal(read.frame.payload.readUInt16BE(4), 320);
  assert.equal(String(readShortString(read.frame.payload, 6)), 'its credential was revoked');
});

test('a text of any length and alphabet becomes a short string', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 400 }), (text) => {
      const octets = shortString(text);
      assert.ok(octets.length === (octets[0] ?? 0) + 1);
      assert.ok(Buffer.from(text).length > 255 || octets.subarray(1).toString('utf8') === text);
    }),
  );
});

test('any octets: read, asked for more, or told wrong; never thrown, never beyond what is there', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.constantFrom('', '\x01\0\0\0\0\0\x04', '\x02\0\x01\0\0\0\x0e'),
      (tail, head) => {
        const octets = Buffer.concat([Buffer.from(head, 'latin1'), tail]);
        const read = readFrame(octets, 0, MOST);
        if (read.kind === 'frame') assert.ok(read.end <= octets.length);
        const walker = frameWalker({ maxFrameBytes: MOST, maxMessageBytes: 1000 });
        walker.walk(octets);
      },
    ),
    { numRuns: 3000 },
  );
});

const message = fc.record({
  body: fc.uint8Array({ maxLength: 300 }),
  piece: fc.integer({ min: 1, max: 200 }),
  tag: fc.string({ maxLength: 60 }),
  again: fc.boolean(),
});

test('the walk counts the same whatever the cuts, and ends between two frames', () => {
  fc.assert(
    fc.property(
      fc.array(message, { minLength: 1, maxLength: 10 }),
      fc.array(fc.nat(8000), { maxLength: 40 }),
      fc.boolean(),
      (sent, cuts, confirms) => {
        const select = confirms ? frame(FRAME.method, 3, u(4, METHOD.confirmSelect)) : Buffer.alloc(0);
        const up = Buffer.concat([select, ...sent.map((m) => publish(3, m.tag.slice(0, 20), m.body, m.piece))]);
        const walker = frameWalker({ maxFrameBytes: MOST, maxMessageBytes: 1000 });
        for (const piece of pieces(up, cuts)) assert.equal(walker.walk(piece), undefined);
        assert.ok(walker.atBoundary());
        const { messages, unconfirmed } = walker.counts();
        assert.deepEqual([messages, unconfirmed], [sent.length, confirms ? 0 : sent.length]);
        const down = Buffer.concat(sent.map((m) => deliver(m.tag, m.again, m.body, m.piece)));
        const back = frameWalker({ maxFrameBytes: 0, maxMessageBytes: 1000 });
        for (const piece of pieces(down, cuts)) assert.equal(back.walk(piece), undefined);
        const counts = back.counts();
        assert.deepEqual([counts.messages, counts.redelivered], [sent.length, sent.filter((m) => m.again).length]);
      },
    ),
    { numRuns: 500 },
  );
});

test('of more messages than there is room for, those that fit are passed whole, and not an octet of what follows is needed', () => {
  fc.assert(
    fc.property(
      fc.array(message, { minLength: 1, maxLength: 10 }),
      fc.array(fc.nat(8000), { maxLength: 40 }),
      fc.nat(9),
      (sent, cuts, most) => {
        const room = Math.min(most, sent.length - 1);
        const frames = sent.map((m) => publish(3, m.tag.slice(0, 20), m.body, m.piece));
        const fits = frames.slice(0, room).reduce((sum, f) => sum + f.length, 0);
        const walker = frameWalker({ maxFrameBytes: MOST, maxMessageBytes: 1000 });
        let passed = 0;
        let stopped = false;
        for (const piece of pieces(Buffer.concat(frames), cuts)) {
          const found = walker.walk(piece, room - walker.counts().messages);
          passed += found?.before ?? piece.length;
          stopped = found?.before !== undefined;
          if (stopped) break;
        }
        assert.ok(stopped);
        assert.equal(walker.counts().messages, room);
        // At most the head of the next frame, in a read of before, which a broker throws away.
        assert.ok(passed >= fits && passed < fits + 19, `${passed} of ${fits}`);
      },
    ),
    { numRuns: 500 },
  );
});

test('the end of a frame is found wherever the walk stands in it', () => {
  const octets = Buffer.concat([
    publish(1, 'frames', Buffer.alloc(500, 7), 100),
    frame(FRAME.heartbeat, 0, Buffer.alloc(0)),
  ]);
  const ends = new Set<number>();
  for (let at = 0; at < octets.length; ) {
    const read = readFrame(octets, at, MOST);
    assert.ok(read.kind === 'frame');
    at = read.end;
    ends.add(at);
  }
  for (let cut = 1; cut < octets.length; cut++) {
    const walker = frameWalker({ maxFrameBytes: MOST, maxMessageBytes: 1000 });
    assert.equal(walker.walk(octets.subarray(0, cut)), undefined);
    assert.equal(walker.atBoundary(), ends.has(cut));
    const end = walker.walkToEnd(octets.subarray(cut));
    assert.ok(end !== undefined && ends.has(cut + end), `${cut}`);
  }
});

for (const [what, octets, reason] of [
  ['an unknown type', frame(4, 0, Buffer.alloc(1)), /unknown type 4/],
  ['a frame larger than agreed', frame(3, 1, Buffer.alloc(5000)), /at most 4088/],
  ['a wrong end', Buffer.concat([frame(8, 0, Buffer.alloc(0)).subarray(0, 7), Buffer.of(0)]), /does not end/],
  ['content larger than may be', content(1, Buffer.alloc(2000), 500), /2000 octets; at most 1000/],
] as const)
  test(`${what} is told`, () => {
    assert.match(frameWalker({ maxFrameBytes: MOST, maxMessageBytes: 1000 }).walk(octets)?.reason ?? '', reason);
  });

test('a content of 2^63 octets is told by its header', () => {
  const head = Buffer.concat([u(2, 60), u(2, 0), Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0]), u(2, 0)]);
  assert.match(
    frameWalker({ maxFrameBytes: MOST, maxMessageBytes: 1000 }).walk(frame(FRAME.header, 1, head))?.reason ?? '',
    /at most 1000/,
  );
});

test('a method frame too long to be one of ours is refused before it is held', () => {
  const read = readFrame(methodFrame(METHOD.startOk, Buffer.alloc(MOST)).subarray(0, 12), 0, MOST);
  assert.ok(read.kind === 'violation');
});
