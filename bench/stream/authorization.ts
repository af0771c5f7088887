/**
 * What asking the node costs: messages per second to and from a RabbitMQ that asks the node who may do what (as in the modes `direct` and `l4`) against the same RabbitMQ's own account, and how often
 * it asks. Both log in at the same listener, without TLS, so that nothing else is in the ratio. Issue 5: at least 0.98; at most 10 questions per 20,000 messages decide.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../src/clock.ts';
import { answerCallback, type DirectUser, same } from '../../src/dsn/broker/rabbitmq/answer-callback.ts';
import { openCallbackServer } from '../../src/dsn/broker/rabbitmq/callback-server.ts';
import { endRabbit, rabbitKept, rabbitProgram, startRabbit } from '../../src/dsn/broker/rabbitmq/rabbit-server.ts';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { isResolved, median, medianInterval, ratios, runPaired } from '../paired-rounds.ts';
import type { LoadReport } from './gateway-figures.ts';
import { type Program, startProgram } from './processes.ts';
import type { AmqpLoadOrders } from './programs/amqp-load.ts';

const STREAM = 'str_bench';
const BYTES = 16_000;
const MESSAGES = 20_000;
type Path = 'own' | 'node';

interface Sample {
  readonly rate: number;
  readonly asked: number;
}

interface Course {
  readonly load: Program;
  readonly orders: (name: Path, change: Partial<AmqpLoadOrders>) => AmqpLoadOrders;
  readonly asked: () => number;
}

async function openCourse(context: BenchContext): Promise<Course> {
  const folder = mkdtempSync(path.join(tmpdir(), 'beamway-bench-rights-'));
  context.defer(async () => {
    await endRabbit(folder, systemClock);
    rmSync(folder, { recursive: true, force: true });
  });
  const { agentPassword, gatewaySecret, callbackSecret: secret, ports } = await rabbitKept(folder);
  const user = (role: DirectUser['role']): DirectUser => ({
    ...{ stream: STREAM, role, mayComeFrom: () => true },
    hasPassword: (password) => same(password, agentPassword),
  });
  let asked = 0;
  const facts = {
    ...{ gatewaySecret, isOpen: () => true },
    direct: (name: string) => (name === 'producer' || name === 'consumer' ? user(name) : undefined),
  };
  const server = await openCallbackServer({ port: ports.callback, secret }, (where, fields) => {
    asked += 1;
    return answerCallback(facts, where, fields);
  });
  context.defer(() => server.close());
  const { amqp, management } = await startRabbit(folder, { watermarkBytes: 2 ** 32 }, systemClock);
  const bounds = { bufferBytes: 2 ** 30, maxConnections: 64, queues: 1, queueType: 'classic' } as const;
  await management.ensureHost({ stream: STREAM, ...bounds });
  const orders: Course['orders'] = (name, change) => ({
    ...{ port: amqp.port, password: agentPassword, bytes: BYTES, messages: MESSAGES, checksummed: false },
    as: {
      ...{ vhost: STREAM, queue: 'frames' },
      ...(name === 'own'
        ? { producer: 'beamway', consumer: 'beamway' }
        : { producer: 'producer', consumer: 'consumer' }),
    },
    ...change,
  });
  const load = startProgram(context, 'amqp-load.ts', orders('own', { messages: 100, checksummed: true }));
  await load.hear<LoadReport>();
  for (const name of ['own', 'node'] as const) {
    load.tell(orders(name, { messages: 2000, checksummed: true }));
    const { digests } = await load.hear<LoadReport>();
    if (digests[0] === undefined || digests[0] !== digests[1]) throw new Error(`${name} changed what was sent`);
  }
  return { load, orders, asked: () => asked };
}

let running: Promise<readonly Readonly<Record<Path, Sample>>[]> | undefined;

async function compare(context: BenchContext): Promise<readonly Readonly<Record<Path, Sample>>[]> {
  const { load, orders, asked } = await openCourse(context);
  const { rounds } = await runPaired<Path, Sample>(context, {
    paths: ['own', 'node'],
    async measure(name) {
      const before = asked();
      load.tell(orders(name, {}));
      const { rate, messages } = await load.hear<LoadReport>();
      if (messages !== MESSAGES) throw new Error(`${messages} of ${MESSAGES} messages came`);
      return { rate, asked: asked() - before };
    },
    enough: (soFar) => isResolved(ratios(soFar, { of: 'node', to: 'own', value: ({ rate }) => rate })),
    describe: ({ rate, asked: times }) => `${(rate / 1e6).toFixed(0)} MB/s, asked ${times} times`,
  });
  return rounds;
}

async function outcome(context: BenchContext, which: 'rate' | 'asked'): Promise<FigureOutcome> {
  if (rabbitProgram() === undefined)
    return { kind: 'skipped', reason: 'apt-get install --no-install-recommends rabbitmq-server' };
  running ??= compare(context);
  const rounds = await running;
  const paired = ratios(rounds, { of: 'node', to: 'own', value: ({ rate }) => rate });
  const asked = rounds.map(({ node }) => node.asked);
  const short = (value: number): number => Number(value.toFixed(3));
  if (which === 'asked')
    return {
      kind: 'measured',
      result: {
        ...{ figure: 'authorization-questions-20000', value: Math.max(...asked), unit: 'questions', goal: { max: 10 } },
        ...{ rounds: asked.length, spread: [Math.min(...asked), Math.max(...asked)] },
      },
    };
  const [low, high] = medianInterval(paired);
  const rate = (name: Path): string => `${(median(rounds.map((r) => r[name].rate)) / 1e6).toFixed(0)} MB/s`;
  return {
    kind: 'measured',
    result: {
      ...{ figure: 'authorization-to-own', value: short(median(paired)), unit: 'ratio', goal: { min: 0.98 } },
      ...{ comparator: 'RabbitMQ’s own account', rounds: paired.length, spread: [short(low), short(high)] },
      resolved: isResolved(paired),
      detail: { own: rate('own'), node: rate('node') },
    },
  };
}

export const figures: readonly BenchFigure[] = [
  {
    ...{ name: 'authorization-to-own', group: 'stream' },
    title: 'throughput of a RabbitMQ that asks the node against its own account, 16 kB messages',
    run: (context) => outcome(context, 'rate'),
  },
  {
    ...{ name: 'authorization-questions-20000', group: 'stream' },
    title: 'how often RabbitMQ asks the node while 20,000 messages pass, log-ins with it',
    run: (context) => outcome(context, 'asked'),
  },
];
