import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { encodeCommand, encodeHello, encodeMetadata } from './command.ts';
import { encodeFrame } from './frame.ts';
import { encodeGreeting, type Mechanism } from './greeting.ts';
import { createHandshake, type HandshakeStep, type PeerVerdict } from './handshake.ts';

const terms = { peerSocketType: 'PUSH', ownSocketType: 'PULL' };
const judge = (username: string, password: string): PeerVerdict<string> =>
  username === 'ada' && password === 'pw'
    ? { ok: true, terms, grant: 'ada' }
    : { ok: false, reason: 'user name or password is wrong', code: '400' };

const initiate = (type: string): Buffer =>
  encodeCommand('INITIATE', encodeMetadata({ 'Socket-Type': type, Identity: '' }));
const goodPeer = Buffer.concat([encodeGreeting('PLAIN', false), encodeHello('ada', 'pw'), initiate('PUSH')]);

/** The first 11 octets are sent when the connection opens. */
const restOfGreeting = encodeGreeting('PLAIN', true).subarray(11);

interface Outcome {
  readonly step: HandshakeStep<string>;
  readonly sent: Buffer;
}

function run(stream: Buffer, sizes: readonly number[], mechanism: Mechanism = 'PLAIN'): Outcome {
  const handshake = createHandshake({ mechanism, judge: mechanism === 'NULL' ? () => judge('ada', 'pw') : judge });
  const sent: Buffer[] = [];
  let at = 0;
  let step: HandshakeStep<string> = { kind: 'more', send: [] };
  for (const size of [...sizes, stream.length]) {
    if (at >= stream.length || step.kind !== 'more') break;
    step = handshake.feed(stream.subarray(at, at + size));
    at += size;
    sent.push(...step.send);
  }
  const rest = step.kind === 'ready' ? { rest: Buffer.concat([step.rest, stream.subarray(at)]) } : {};
  return { step: { ...step, ...rest, send: [] }, sent: Buffer.concat(sent) };
}

const refusal = (stream: Buffer, mechanism?: Mechanism): string => {
  const { step } = run(stream, [], mechanism);
  return step.kind === 'refused' ? step.reason : step.kind;
};

test('a PLAIN peer with the right password and socket type is welcomed and made ready', () => {
  const { step, sent } = run(Buffer.concat([goodPeer, Buffer.from('traffic')]), []);
  assert.equal(step.kind, 'ready');
  if (step.kind !== 'ready') return;
  assert.equal(step.grant, 'ada');
  assert.equal(step.minor, 1);
  assert.equal(step.rest.toString(), 'traffic');
  assert.deepEqual(
    sent,
    Buffer.concat([
      restOfGreeting,
      encodeCommand('WELCOME'),
      encodeCommand('READY', encodeMetadata({ 'Socket-Type': 'PULL' })),
    ]),
  );
});

test('a wrong password is answered with ERROR 400, which libzmq reports as an authentication failure', () => {
  const { step, sent } = run(Buffer.concat([encodeGreeting('PLAIN', false), encodeHello('ada', 'no')]), []);
  assert.equal(step.kind, 'refused');
  assert.deepEqual(sent, Buffer.concat([restOfGreeting, encodeCommand('ERROR', Buffer.from('\x03400'))]));
});

test('a socket type that does not fit the role is refused by name', () => {
  const wrong = Buffer.concat([encodeGreeting('PLAIN', false), encodeHello('ada', 'pw'), initiate('SUB')]);
  assert.equal(refusal(wrong), 'socket type SUB, this credential needs PUSH');
  const none = Buffer.concat([encodeGreeting('PLAIN', false), encodeHello('ada', 'pw'), encodeCommand('INITIATE')]);
  assert.match(refusal(none), /needs PUSH/);
});

test('NULL is refused where PLAIN is asked, and the other way round', () => {
  assert.match(refusal(encodeGreeting('NULL', false)), /mechanism NULL: no credentials/);
  assert.match(refusal(encodeGreeting('PLAIN', false), 'NULL'), /mechanism PLAIN, this stream takes NULL/);
});

test('a NULL peer is judged without credentials and made ready', () => {
  const stream = Buffer.concat([
    encodeGreeting('NULL', false),
    encodeCommand('READY', encodeMetadata({ 'socket-type': 'PUSH' })),
  ]);
  assert.equal(run(stream, [], 'NULL').step.kind, 'ready');
});

test('a credential withdrawn between HELLO and INITIATE is refused', () => {
  let valid = true;
  const handshake = createHandshake<string>({
    mechanism: 'PLAIN',
    judge: (...given) => (valid ? judge(...given) : judge('', '')),
  });
  assert.equal(handshake.feed(goodPeer.subarray(0, -10)).kind, 'more');
  valid = false;
  assert.equal(handshake.feed(goodPeer.subarray(-10)).kind, 'refused');
});

test('older ZMTP versions and other protocols are told apart at their first octets', () => {
  const versioned = (major: number): Buffer => Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, major]);
  assert.match(refusal(versioned(1)), /ZMTP 2.0 peer/);
  assert.match(refusal(versioned(0)), /ZMTP 1.0 peer/);
  assert.match(refusal(Buffer.from([0x01, 0x00])), /ZMTP 1.0 peer/);
  assert.match(refusal(Buffer.from('GET / HTTP/1.1\r\n')), /not a ZMTP peer \(first octet 0x47\)/);
  assert.match(refusal(Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7e])), /ZMTP 1.0/);
  assert.match(refusal(Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x01])), /malformed ZMTP signature/);
});

test('a later major version speaks 3.1 with us, a 3.0 peer its own', () => {
  for (const [major, octet, expected] of [
    [4, 0, 1],
    [3, 0, 0],
    [3, 1, 1],
  ] as const) {
    const greeting = encodeGreeting('PLAIN', false);
    greeting[10] = major;
    greeting[11] = octet;
    const { step } = run(Buffer.concat([greeting, goodPeer.subarray(64)]), []);
    assert.equal(step.kind === 'ready' ? step.minor : step.kind, expected);
  }
});

test('malformed commands are refused with a reason', () => {
  const after = (frame: Buffer): Buffer => Buffer.concat([encodeGreeting('PLAIN', false), frame]);
  assert.match(refusal(after(encodeFrame(0, Buffer.from('data')))), /expected a command/);
  assert.match(refusal(after(initiate('PUSH'))), /expected HELLO, got INITIATE/);
  assert.match(refusal(after(encodeCommand('HELLO', Buffer.from([9, 1])))), /malformed HELLO/);
  assert.match(refusal(after(encodeCommand('ERROR'))), /the peer sent ERROR/);
  assert.match(refusal(after(encodeCommand('HELLO', Buffer.alloc(3000)))), /command larger than 2048/);
  assert.match(
    refusal(after(Buffer.from([0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))),
    /command larger than 2048/,
  );
  const badMetadata = encodeCommand('INITIATE', Buffer.from([5, 1, 2]));
  assert.match(refusal(after(Buffer.concat([encodeHello('ada', 'pw'), badMetadata]))), /malformed metadata/);
});

test('any split of a handshake ends the same way', () => {
  const splits = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 60 });
  const bent = fc.tuple(fc.nat({ max: goodPeer.length - 1 }), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(splits, fc.option(bent), (sizes, change) => {
      const stream = Buffer.concat([goodPeer, Buffer.from([0, 1, 2])]);
      if (change !== null) stream[change[0]] = change[1];
      assert.deepEqual(run(stream, sizes), run(stream, []));
    }),
    { numRuns: Number(process.env['BEAMWAY_SOAK_RUNS'] ?? 400) },
  );
});

test('random octets after a good greeting are refused or waited on, never thrown at', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (octets) => {
      const { step } = run(Buffer.concat([encodeGreeting('PLAIN', false), octets]), [7, 70]);
      assert.notEqual(step.kind, 'ready');
    }),
    { numRuns: Number(process.env['BEAMWAY_SOAK_RUNS'] ?? 500) },
  );
});
