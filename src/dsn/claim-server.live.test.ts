import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { openClaimServer } from './claim-server.ts';

/** Clients that begin and never end: in the head, in the body, and without a word. */
const SLOW = [
  'POST /claim HTTP/1.1\r\nhost: x\r\nx-slow: ',
  'POST /claim HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"claim":',
  '',
];

test('a client that takes for ever is cut, and others are served meanwhile', { timeout: 60_000 }, async (t) => {
  let asked = 0;
  const server = await openClaimServer({ host: '127.0.0.1', port: 0 }, () => {
    asked += 1;
    return { kind: 'unknown' };
  });
  t.after(() => server.close());
  const sockets = SLOW.map((start) => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.resume();
    socket.write(start);
    // One octet now and then must not count as progress for ever.
    const drip = setInterval(() => socket.write('x'), 500);
    socket.once('close', () => clearInterval(drip));
    t.after(() => socket.destroy());
    return socket;
  });
  const body = JSON.stringify({ claim: 'c', job: 'j', attempt: 1 });
  assert.equal((await fetch(server.url, { method: 'POST', body })).status, 404);
  await Promise.all(sockets.map((socket) => once(socket, 'close')));
  assert.equal(asked, 1);
});
