// A Redis stream's buffer gets larger and smaller while it lives: nothing that was taken is lost, and a smaller one refuses until there is room.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createClient } from '@redis/client';
import { systemClock } from '../../clock.ts';
import { digestOf, testLease } from '../lease.fixture.ts';
import { redisProgram } from './redis/redis-server.ts';
import { redisBroker } from './redis-broker.ts';

const skip = redisProgram() === undefined ? 'no redis-server; Debian: apt install redis-server' : false;
const MIB = 1_048_576;
const place = mkdtempSync(join(tmpdir(), 'beamway-resize-'));
const broker = redisBroker({
  ...{ clock: systemClock, folder: place, external: '127.0.0.1', compute: '127.0.0.1' },
  certificate: { context: () => undefined },
  remembered: () => undefined,
  portRange: { from: 0, to: 0 },
  onEvent: () => undefined,
  log: { warn: () => undefined },
});
after(async () => {
  for (const { stream } of broker.observe()) await broker.close(stream, 'the test is over');
  rmSync(place, { recursive: true, force: true });
});

test('a buffer grows and shrinks under its producer, and what is in it stays', { skip, timeout: 60_000 }, async () => {
  const lease = testLease({
    ...{ stream: `str_${randomBytes(4).toString('hex')}`, engine: 'redis', overflow: 'refuse', maxMessageBytes: MIB },
    ...{ bufferBytes: 8 * MIB, maxConnections: 8, expiresAtMs: Date.now() + 600_000 },
    credentials: [
      { id: 'p', role: 'producer', username: 'p', passwordDigest: digestOf('pw'), expiresAtMs: Date.now() + 600_000 },
    ],
  });
  await broker.ensure(lease, []);
  const port = broker.ports(lease.stream)?.port ?? 0;
  const socket = { host: '127.0.0.1', port, reconnectStrategy: false } as const;
  const client = createClient({ username: 'p', password: 'pw', RESP: 2, socket, disableClientInfo: true });
  client.on('error', () => undefined);
  await client.connect();
  const put = () =>
    client.sendCommand(['XADD', 'frames', '*', 'f', Buffer.alloc(500_000)]).then(
      () => true,
      () => false,
    );
  let taken = 0;
  while (await put()) taken += 1;
  await broker.ensure({ ...lease, bufferBytes: 32 * MIB }, []);
  const small = taken;
  // Told by the next look, a quarter of a second later.
  for (const end = performance.now() + 10_000; taken < small + 30; ) {
    if (await put()) taken += 1;
    assert.ok(performance.now() < end, `it did not grow: ${taken} after ${small}`);
  }
  await broker.ensure(lease, []);
  // Refused again, once it is told: the last that it took are counted.
  for (const end = performance.now() + 10_000; await put(); taken++) assert.ok(performance.now() < end);
  for (let i = 0; i < 5; i++) assert.equal(await put(), false);
  assert.equal(await client.sendCommand(['XLEN', 'frames']), taken);
  client.destroy();
});
