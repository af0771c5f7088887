// The beginning of an AMQP connection as data: whoever says what in whatever pieces, a step comes out; nothing is thrown, nobody is let in but by the judge.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  longString,
  METHOD,
  methodFrame,
  methodOf,
  PROTOCOL_HEADER,
  readFrame,
  readShortString,
  shortString,
} from '../amqp/index.ts';
import { type AmqpHandshake, amqpHandshake, serverPropertiesIn } from './amqp-handshake.ts';

const TABLE = Buffer.alloc(0);
const begin = (): AmqpHandshake =>
  amqpHandshake(
    { vhost: 'str_a', serverProperties: TABLE },
    (username, password) =>
      username === 'ada' && password === 'secret'
        ? { ok: true, grant: { role: 'producer', credentialId: 'c1' } }
        : { ok: false, reason: 'user name or password is wrong' },
    () => ({ at: { host: 'h', port: 1 }, username: 'str_a/producer/c1', password: 'hidden' }),
  );
const startOk = (username: string, password: string, mechanism = 'PLAIN'): Buffer =>
  methodFrame(
    METHOD.startOk,
    longString(Buffer.from('\x07productS\0\0\0\x01x', 'latin1')),
    shortString(mechanism),
    longString(Buffer.from(`\0${username}\0${password}`)),
    shortString('en_US'),
  );
const tune = methodFrame(METHOD.tune, Buffer.from([7, 255, 0, 2, 0, 0, 0, 60]));
const tuneOk = methodFrame(METHOD.tuneOk, Buffer.from([7, 255, 0, 1, 0, 0, 0, 10]));
const open = (vhost: string): Buffer => methodFrame(METHOD.open, shortString(vhost), Buffer.of(0, 0));
const first = (octets: Uint8Array | string | undefined) => {
  const read = readFrame(Buffer.from(octets as Uint8Array), 0, 65_536);
  assert.ok(read.kind === 'frame');
  return read.frame;
};

test('a client is led to its stream’s virtual host; the broker is told another name and password', () => {
  const it = begin();
  const start = it.fromClient(PROTOCOL_HEADER);
  assert.equal(methodOf(first(start.toClient)), METHOD.start);
  assert.deepEqual(serverPropertiesIn(Buffer.from(start.toClient as Uint8Array)), TABLE);
  assert.equal(it.fromClient(startOk('ada', 'secret')).next.kind, 'join');
  assert.deepEqual(it.brokerUp().toBroker, PROTOCOL_HEADER);
  const login = it.fromBroker(
    methodFrame(
      METHOD.start,
      Buffer.of(0, 9),
      longString(TABLE),
      longString(Buffer.from('PLAIN')),
      longString(Buffer.from('en_US')),
    ),
  );
  const said = Buffer.from(login.toBroker as Uint8Array).toString('latin1');
  assert.ok(said.includes('\0str_a/producer/c1\0hidden') && !said.includes('secret') && said.includes('product'));
  assert.equal(methodOf(first(it.fromBroker(tune).toClient)), METHOD.tune);
  const asked = it.fromClient(Buffer.concat([tuneOk, open('/'), Buffer.from('behind')]));
  assert.equal(asked.hold, true);
  const written = Buffer.from(asked.toBroker as Uint8Array);
  assert.equal(String(readShortString(first(written.subarray(tuneOk.length)).payload, 4)), 'str_a');
  const joined = it.fromBroker(Buffer.concat([methodFrame(METHOD.openOk, Buffer.of(0)), Buffer.from('after')]));
  assert.ok(joined.next.kind === 'joined');
  assert.deepEqual([String(joined.next.up), String(joined.next.down)], ['behind', 'after']);
  assert.equal(it.maxFrameBytes(), 65_536);
});

for (const [what, octets, words] of [
  ['a wrong password', startOk('ada', 'guess'), /ACCESS_REFUSED - user name or password is wrong/],
  ['another mechanism', startOk('ada', 'secret', 'EXTERNAL'), /only PLAIN/],
  ['a second password', startOk('ada', 'secret\0more'), /cannot be read/],
  [
    'a table that is longer than its frame',
    methodFrame(METHOD.startOk, Buffer.from([0, 0, 255, 255, 1])),
    /cannot be read/,
  ],
  ['an open before the login', open('/'), /out of turn/],
  [
    'a frame of a channel',
    Buffer.concat([Buffer.from([1, 0, 1, 0, 0, 0, 4, 0, 10, 0, 11, 0xce])]),
    /before the connection is open/,
  ],
] as const)
  test(`${what} is refused in words`, () => {
    const it = begin();
    it.fromClient(PROTOCOL_HEADER);
    const step = it.fromClient(octets);
    assert.ok(step.next.kind === 'refused');
    const { payload } = first(step.toClient);
    assert.match(String(readShortString(payload, 6)), words);
  });

test('another virtual host is not opened', () => {
  const it = begin();
  it.fromClient(PROTOCOL_HEADER);
  it.fromClient(startOk('ada', 'secret'));
  it.fromBroker(tune);
  it.fromClient(tuneOk);
  const step = it.fromClient(open('str_b'));
  assert.ok(step.next.kind === 'refused' && /one virtual host/.test(step.next.reason));
});

for (const [what, agreed, words] of [
  ['frames larger than offered', [0, 2, 0, 3, 0, 0, 0, 10], /frame_max 196608 is more than the offered 131072/],
  ['frames without a bound', [0, 2, 0, 0, 0, 0, 0, 10], /frame_max 0 is more than the offered 131072/],
  ['frames too small for a method', [0, 2, 0, 0, 0, 9, 0, 10], /frame_max 9 is less than 4096/],
  ['channels without a bound', [0, 0, 0, 1, 0, 0, 0, 10], /channel_max 0 is more than the offered 2047/],
] as const)
  test(`who agrees to ${what} is told so, where RabbitMQ would only hang up`, () => {
    const it = begin();
    it.fromClient(PROTOCOL_HEADER);
    it.fromClient(startOk('ada', 'secret'));
    it.fromBroker(tune);
    const step = it.fromClient(methodFrame(METHOD.tuneOk, Buffer.from(agreed)));
    assert.ok(step.next.kind === 'refused');
    assert.match(String(readShortString(first(step.toClient).payload, 6)), words);
  });

test('cut at any place, the same client is let in', () => {
  const octets = Buffer.concat([PROTOCOL_HEADER, startOk('ada', 'secret')]);
  for (let cut = 1; cut < octets.length; cut++) {
    const it = begin();
    it.fromClient(octets.subarray(0, cut));
    assert.equal(it.fromClient(octets.subarray(cut)).next.kind, 'join', `${cut}`);
  }
});

test('whatever comes from either side, a step comes out, and nobody who was not let in is joined', () => {
  const some = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.constantFrom(PROTOCOL_HEADER, startOk('ada', 'secret'), startOk('x', 'y'), tune, tuneOk, open('/'), open('b')),
  );
  fc.assert(
    fc.property(fc.array(fc.record({ client: fc.boolean(), octets: some }), { maxLength: 12 }), (said) => {
      const it = begin();
      let joinedUp = false;
      for (const { client, octets } of said) {
        const step = client ? it.fromClient(Buffer.from(octets)) : it.fromBroker(Buffer.from(octets));
        if (step.next.kind === 'join') joinedUp = true;
        if (step.next.kind === 'joined') assert.ok(joinedUp);
        if (step.next.kind === 'refused' || step.next.kind === 'joined') return;
      }
    }),
    { numRuns: 2000 },
  );
});
