/** Redis through the gateway: XADD by one client, XREAD by another, 16 kB and 1 MB, through one redis-server. */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { rightsOf } from '../../src/dsn/broker/redis/rights.ts';
import type { BenchContext } from '../figure.ts';
import { type BrokerAt, gatewayFigures } from './gateway-figures.ts';
import { freePort, portAnswers } from './processes.ts';

export const REDIS = '/usr/bin/redis-server';

/** A redis-server of the run's own, on a port of the loopback and a Unix socket; both roles have one password. */
export async function openRedis(context: BenchContext): Promise<BrokerAt> {
  const folder = mkdtempSync(path.join(tmpdir(), 'beamway-bench-redis-'));
  context.defer(() => rmSync(folder, { recursive: true, force: true }));
  const password = randomBytes(24).toString('hex');
  const digest = createHash('sha256').update(password).digest('hex');
  const port = await freePort();
  const socket = path.join(folder, 'redis.sock');
  const redis = context.track(spawn(REDIS, ['-'], { stdio: ['pipe', 'ignore', 'inherit'] }));
  const users = (['producer', 'consumer'] as const).map(
    (role) => `user ${role} ${rightsOf(role).join(' ')} #${digest}`,
  );
  const lines = [
    `bind 127.0.0.1`,
    `port ${port}`,
    `unixsocket ${socket}`,
    'save ""',
    'appendonly no',
    'user default off',
    ...users,
  ];
  redis.stdin?.end(`${lines.join('\n')}\n`);
  await portAnswers(port, 5000);
  return { port, target: socket, password };
}

export const figures = gatewayFigures({
  engine: 'redis',
  sizes: [
    { label: '16kB', bytes: 16_000, messages: 20_000, least: 0.9 },
    { label: '1MB', bytes: 1_000_000, messages: 600, least: 1 },
  ],
  missing: () => (existsSync(REDIS) ? undefined : 'apt-get install --no-install-recommends redis-server'),
  open: openRedis,
  loadProgram: 'redis-load.ts',
});
