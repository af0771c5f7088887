/** With a fake in place of ws's socket: what is sent, and when it is cut, by a hand-wound clock. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { WebSocket } from 'ws';
import { handWoundClock } from '../../clock.ts';
import { closeSocket, keepOpen } from './keep-open.ts';
import type { SocketGrant } from './tickets.ts';

function fakeSocket() {
  const did: string[] = [];
  const socket = Object.assign(new EventEmitter(), {
    OPEN: 1,
    CLOSED: 3,
    readyState: 1,
    ping: () => void did.push('ping'),
    close: (code: number, reason: string) => {
      did.push(`close ${code} ${reason}`);
      socket.readyState = 2;
    },
    terminate: () => {
      did.push('terminate');
      socket.readyState = 3;
      socket.emit('close');
    },
  });
  return { did, socket, asSocket: socket as unknown as WebSocket };
}

function watched(check: () => Promise<unknown> = async () => undefined) {
  const clock = handWoundClock();
  const fake = fakeSocket();
  const grant: SocketGrant = {
    purpose: 'test',
    holder: 'a',
    path: '/x',
    allowsOrigin: () => true,
    maxFrameBytes: 1,
    check,
    open: () => undefined,
  };
  keepOpen(fake.asSocket, grant, { clock, log: { warn: () => undefined } });
  return { clock, ...fake };
}
const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
};

test('it pings every ten seconds, and who answers stays', async () => {
  const { clock, did, socket } = watched();
  for (let s = 0; s < 60; s += 1) {
    clock.advance(1000);
    await settle();
    if (did.at(-1) === 'ping') socket.emit('pong');
  }
  assert.deepEqual(did, Array(6).fill('ping'));
});

test('who says nothing for 25 s is cut by then', () => {
  const { clock, did, socket } = watched(() => Promise.resolve());
  clock.advance(4999);
  socket.emit('message');
  clock.advance(20_000);
  assert.ok(!did.includes('terminate'));
  clock.advance(5001);
  assert.ok(did.includes('terminate'));
});

for (const [what, check] of [
  ['says no', () => Promise.reject(new Error('revoked'))],
  ['does not come back', () => new Promise(() => undefined)],
] as const)
  test(`a check that ${what} closes it within two seconds and cuts it a second later`, async () => {
    const { clock, did } = watched(check);
    clock.advance(1000);
    await settle();
    clock.advance(999);
    await settle();
    clock.advance(1);
    await settle();
    assert.match(String(did[0]), /^close 1008 /);
    clock.advance(1000);
    assert.deepEqual(did.slice(1), ['terminate']);
  });

test('a reason longer than a close frame takes is cut, and never within a character', () => {
  const { did, asSocket } = fakeSocket();
  closeSocket(asSocket, handWoundClock(), { code: 4000, reason: `x${'é'.repeat(100)}` });
  assert.equal(did[0], `close 4000 x${'é'.repeat(61)}`);
});
