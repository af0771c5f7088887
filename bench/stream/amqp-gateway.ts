/** RabbitMQ through the gateway: published with confirms (64 outstanding) and consumed (prefetch 64, every 32nd acknowledged), 16 kB and 1 MB, a classic queue, messages in memory. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../src/clock.ts';
import { endRabbit, rabbitKept, rabbitProgram, startRabbit } from '../../src/dsn/broker/rabbitmq/rabbit-server.ts';
import type { BenchContext } from '../figure.ts';
import { type BrokerAt, gatewayFigures } from './gateway-figures.ts';

const WATERMARK = 4 * 1024 ** 3;

/** The node's own account: no question is asked of anybody, as with the credentials of other brokers. */
async function open(context: BenchContext): Promise<BrokerAt> {
  const folder = mkdtempSync(path.join(tmpdir(), 'beamway-bench-rabbit-'));
  context.defer(async () => {
    await endRabbit(folder, systemClock);
    rmSync(folder, { recursive: true, force: true });
  });
  const { agentPassword: password } = await rabbitKept(folder);
  const { amqp } = await startRabbit(folder, { watermarkBytes: WATERMARK }, systemClock);
  return { port: amqp.port, target: amqp.port, password };
}

export const figures = gatewayFigures({
  engine: 'amqp',
  sizes: [
    { label: '16kB', bytes: 16_000, messages: 12_000, least: 0.9 },
    { label: '1MB', bytes: 1_000_000, messages: 400, least: 1 },
  ],
  missing: () =>
    rabbitProgram() === undefined ? 'apt-get install --no-install-recommends rabbitmq-server' : undefined,
  open,
  loadProgram: 'amqp-load.ts',
});
