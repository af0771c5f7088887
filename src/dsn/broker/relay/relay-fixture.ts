/**
 * For the tests of this room only: a relay with two credentials, a raw ZMTP peer that can misbehave, conditions to wait for.
 * Owns what it opens; `using`-style: every opener takes the test context and ends its things after the test.
 */
import { once } from 'node:events';
import net from 'node:net';
import type { TestContext } from 'node:test';
import { systemClock } from '../../../clock.ts';
import { encodeCommand, encodeGreeting, encodeHello, encodeMetadata } from '../../zmtp/index.ts';
import { openRelay } from './open-relay.ts';
import type { Relay, RelayEvent, RelayOptions } from './options.ts';

export const PASSWORD = 'pw-for-tests';

export interface TestRelay extends Relay {
  readonly url: string;
  readonly events: readonly RelayEvent[];
  refusals(): readonly string[];
}

/** `producer` and `consumer` (and `producer-2`, `consumer-x`...) with PASSWORD are admitted in that role. */
export async function testRelay(t: TestContext, overrides: Partial<RelayOptions> = {}): Promise<TestRelay> {
  const events: RelayEvent[] = [];
  const relay = await openRelay({
    streamId: 'str_test',
    host: '127.0.0.1',
    port: 0,
    admission: 'credential',
    delivery: 'at-most-once',
    overflow: 'wait',
    bufferBytes: 4 * 1024 * 1024,
    maxMessageBytes: 16 * 1024 * 1024,
    maxConnections: 32,
    handshakeTimeoutMs: 5000,
    consumerListens: [],
    admit: ({ username, password, portRole }) => {
      const role = portRole ?? (username.startsWith('producer') ? 'producer' : 'consumer');
      const known = portRole !== undefined || (password === PASSWORD && /^(producer|consumer)/.test(username));
      return known
        ? { ok: true, role, credentialId: username }
        : { ok: false, reason: 'user name or password is wrong' };
    },
    onEvent: (event) => void events.push(event),
    ...overrides,
  });
  t.after(() => relay.close('the test is over'));
  const refusals = (): string[] => events.filter((event) => event.kind === 'refused').map(({ reason }) => reason);
  return { ...relay, url: `tcp://127.0.0.1:${relay.endpoints.port}`, events, refusals };
}

/** Waits until `holds`; rejects with `what` when it has not come true in 10 s. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const end = systemClock.monotonic() + 10_000;
  while (!holds()) {
    if (systemClock.monotonic() > end) throw new Error(`waited 10 s for: ${what}`);
    await new Promise<void>((resolve) => void systemClock.after(5, resolve));
  }
}

/** A TCP connection that says exactly what it is told; `received` is all that came back. */
export interface RawPeer {
  readonly socket: net.Socket;
  received(): Buffer;
  receivedBytes(): number;
  /** Resolves when the relay has closed the connection. */
  closed(): Promise<void>;
}

export async function rawPeer(t: TestContext, port: number): Promise<RawPeer> {
  const socket = net.connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  const chunks: Buffer[] = [];
  let isClosed = false;
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    isClosed = true;
  });
  await once(socket, 'connect');
  return {
    socket,
    received: () => Buffer.concat(chunks),
    receivedBytes: () => bytes,
    closed: () => until('the relay closes the connection', () => isClosed),
  };
}

/** The octets a well-behaved PLAIN peer sends until it is ready. */
export function helloOctets(username: string, socketType: string, password = PASSWORD): Buffer {
  const initiate = encodeCommand('INITIATE', encodeMetadata({ 'Socket-Type': socketType, Identity: '' }));
  return Buffer.concat([encodeGreeting('PLAIN', false), encodeHello(username, password), initiate]);
}

/** A raw peer past its handshake. */
export async function readyPeer(t: TestContext, relay: TestRelay, username: string): Promise<RawPeer> {
  const peer = await rawPeer(t, relay.endpoints.port);
  peer.socket.write(helloOctets(username, username.startsWith('producer') ? 'PUSH' : 'PULL'));
  await until('READY', () => peer.received().includes('READY'));
  return peer;
}
