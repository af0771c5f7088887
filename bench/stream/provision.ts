/**
 * From asking the API for a stream to the first message out of it, through the whole system: the stream, both credentials, both connections by TLS, one message. Redis and a RabbitMQ that is warm
 * in milliseconds; a RabbitMQ of the stream's own less what a bare RabbitMQ takes to start, measured in turns. Issue 5: under 1 s; its own boot and 0.5 s.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createClient as createRedis } from '@redis/client';
import type { Client, Result } from '../../clients/typescript/src/index.ts';
import { systemClock } from '../../src/clock.ts';
import { endRabbit, rabbitProgram, startRabbit } from '../../src/dsn/broker/rabbitmq/rabbit-server.ts';
import { redisProgram } from '../../src/dsn/broker/redis/redis-server.ts';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { median, medianInterval } from '../paired-rounds.ts';
import { connectAmqp, readyStream, released, wholeSystem } from './whole-system.ts';

type Credential = Result<'stream.credential'>;
const TEXT = 'the first message';

async function byAmqp(producer: Credential, consumer: Credential): Promise<string> {
  const [pro, con] = await Promise.all([connectAmqp(producer), connectAmqp(consumer)]);
  const into = await con.createChannel();
  const message = new Promise<string>((resolve) => {
    void into.consume('frames', (m) => resolve(String(m?.content)), { noAck: true });
  });
  (await pro.createChannel()).sendToQueue('frames', Buffer.from(TEXT));
  const got = await message;
  await Promise.all([pro.close(), con.close()]);
  return got;
}

async function byRedis(producer: Credential, consumer: Credential): Promise<string> {
  const [pro, con] = await Promise.all(
    [producer, consumer].map(async ({ endpoint, username, password, authority }) => {
      const { hostname: host, port } = new URL(endpoint);
      const socket = { host, port: Number(port), tls: true, ca: authority ?? '', reconnectStrategy: false } as const;
      const client = createRedis({ username, password, socket, disableClientInfo: true });
      client.on('error', () => undefined);
      await client.connect();
      return client;
    }),
  );
  const read = con?.sendCommand(['XREAD', 'BLOCK', '10000', 'STREAMS', 'frames', '0']);
  await pro?.sendCommand(['XADD', 'frames', '*', 'f', TEXT]);
  const got = JSON.stringify(await read);
  pro?.destroy();
  con?.destroy();
  return got;
}

/** Milliseconds; the stream is released again before it returns. */
async function provision(client: Client, template: string): Promise<number> {
  const began = systemClock.monotonic();
  const id = await readyStream(client, template);
  const [producer, consumer] = await Promise.all(
    (['producer', 'consumer'] as const).map((role) =>
      client.call('stream.credential', { params: { id }, body: { role } }),
    ),
  );
  if (producer === undefined || consumer === undefined) throw new Error('no credential');
  const got = await (template === 'deleria' ? byRedis : byAmqp)(producer, consumer);
  const took = systemClock.monotonic() - began;
  if (!got.includes(TEXT)) throw new Error(`not what was sent: ${got}`);
  await released(client, id);
  return took;
}

/** A RabbitMQ as the node starts it, until its management API answers. */
async function bareBoot(): Promise<number> {
  const folder = mkdtempSync(path.join(tmpdir(), 'beamway-bench-boot-'));
  try {
    const began = systemClock.monotonic();
    await startRabbit(folder, { watermarkBytes: 2 ** 31 }, systemClock);
    return systemClock.monotonic() - began;
  } finally {
    await endRabbit(folder, systemClock);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function quick(context: BenchContext, name: string, template: string): Promise<FigureOutcome> {
  const { client } = await (await wholeSystem(context)).mint();
  // The first one starts the enclave's RabbitMQ, and is what nobody waits for later.
  await provision(client, template);
  const took: number[] = [];
  while (took.length < context.rounds.min * 2) took.push(await provision(client, template));
  const ms = (value: number): number => Math.round(value);
  return {
    kind: 'measured',
    result: {
      ...{ figure: name, value: ms(median(took)), unit: 'ms', goal: { max: 1000 }, rounds: took.length },
      spread: [ms(Math.min(...took)), ms(Math.max(...took))],
    },
  };
}

async function dedicated(context: BenchContext, name: string): Promise<FigureOutcome> {
  const { client } = await (await wholeSystem(context)).mint();
  const beyond: number[] = [];
  const boots: number[] = [];
  const wholes: number[] = [];
  for (let round = 0; round < context.rounds.min; round++) {
    const measured = { boot: 0, whole: 0 };
    for (const which of round % 2 === 0 ? (['boot', 'whole'] as const) : (['whole', 'boot'] as const))
      measured[which] = which === 'boot' ? await bareBoot() : await provision(client, 'rabbitmq-dedicated');
    boots.push(measured.boot);
    wholes.push(measured.whole);
    beyond.push(measured.whole - measured.boot);
    context.log(`  round ${round + 1}: boot ${measured.boot.toFixed(0)} ms, whole ${measured.whole.toFixed(0)} ms`);
  }
  const ms = (value: number): number => Math.round(value);
  const [low, high] = medianInterval(beyond);
  return {
    kind: 'measured',
    result: {
      ...{ figure: name, value: ms(median(beyond)), unit: 'ms beyond its boot', goal: { max: 500 } },
      ...{ comparator: 'a bare RabbitMQ’s start', rounds: beyond.length, spread: [ms(low), ms(high)] },
      detail: { bootMs: ms(median(boots)), wholeMs: ms(median(wholes)) },
    },
  };
}

const noRabbit = () =>
  rabbitProgram() === undefined ? 'apt-get install --no-install-recommends rabbitmq-server' : undefined;
const noRedis = () =>
  redisProgram() === undefined ? 'apt-get install --no-install-recommends redis-server' : undefined;

const figure = (
  name: string,
  what: string,
  missing: () => string | undefined,
  run: (context: BenchContext) => Promise<FigureOutcome>,
): BenchFigure => ({
  name,
  group: 'stream',
  title: `from asking for a stream to its first message: ${what}`,
  run: async (context) => {
    const reason = missing();
    return reason === undefined ? run(context) : { kind: 'skipped', reason };
  },
});

export const figures: readonly BenchFigure[] = [
  figure('provision-redis', 'Redis', noRedis, (c) => quick(c, 'provision-redis', 'deleria')),
  figure('provision-rabbitmq-warm', 'a virtual host on a warm RabbitMQ', noRabbit, (c) =>
    quick(c, 'provision-rabbitmq-warm', 'deleria-rabbitmq'),
  ),
  figure('provision-rabbitmq-dedicated', 'a RabbitMQ of its own', noRabbit, (c) =>
    dedicated(c, 'provision-rabbitmq-dedicated'),
  ),
];
