/**
 * What the gateway adds to a message's way at a pace that leaves the machine room: 2,500 messages of 16 kB a second (40 MB/s), published and consumed through it, so two traversals, against a
 * connection to RabbitMQ itself; HAProxy and the plain relay beside it. Rounds are paired; the value is the median of the differences of medians. Issue 5: at most 120 us.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../src/clock.ts';
import { endRabbit, rabbitKept, rabbitProgram, startRabbit } from '../../src/dsn/broker/rabbitmq/rabbit-server.ts';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { median, medianInterval, runPaired } from '../paired-rounds.ts';
import { findHaproxy, haproxyMissing, startHaproxy } from './haproxy.ts';
import { startProgram } from './processes.ts';
import type { PaceOrders, PaceReport } from './programs/amqp-pace.ts';
import type { GatewayOrders } from './programs/gateway-process.ts';

const PATHS = ['direct', 'haproxy', 'plain', 'gateway'] as const;
type Path = (typeof PATHS)[number];
const PACE = { bytes: 16_000, perSecond: 2500, messages: 7500 } as const;

async function run(context: BenchContext): Promise<FigureOutcome> {
  if (rabbitProgram() === undefined)
    return { kind: 'skipped', reason: 'apt-get install --no-install-recommends rabbitmq-server' };
  if (findHaproxy() === undefined) return { kind: 'skipped', reason: haproxyMissing };
  const folder = mkdtempSync(path.join(tmpdir(), 'beamway-bench-pace-'));
  context.defer(async () => {
    await endRabbit(folder, systemClock);
    rmSync(folder, { recursive: true, force: true });
  });
  const { agentPassword: password } = await rabbitKept(folder);
  const target = (await startRabbit(folder, { watermarkBytes: 2 ** 32 }, systemClock)).amqp.port;
  const ports = new Map<Path, number>([['direct', target]]);
  ports.set('haproxy', (await startHaproxy(context, 'haproxy-128k', target)).port);
  for (const kind of ['plain', 'gateway'] as const) {
    const orders: GatewayOrders = { kind, engine: 'amqp', target, password };
    ports.set(kind, (await startProgram(context, 'gateway-process.ts', orders).hear<{ port: number }>()).port);
  }
  const orders = (name: Path): PaceOrders => ({ ...PACE, password, port: ports.get(name) ?? 0 });
  const pace = startProgram(context, 'amqp-pace.ts', orders('direct'));
  await pace.hear<PaceReport>();
  const measure = async (name: Path): Promise<PaceReport> => {
    pace.tell(orders(name));
    return pace.hear<PaceReport>();
  };
  for (const name of PATHS) await measure(name);
  const differences = (rounds: readonly Readonly<Record<Path, PaceReport>>[], name: Path): readonly number[] =>
    rounds.map((round) => round[name].p50Us - round.direct.p50Us);
  const { rounds } = await runPaired<Path, PaceReport>(context, {
    paths: PATHS,
    measure,
    enough(soFar) {
      const [low, high] = medianInterval(differences(soFar, 'gateway'));
      return high - low < 60;
    },
    describe: ({ p50Us, p99Us, lateMs }) => `p50 ${p50Us} p99 ${p99Us} us (late ${lateMs} ms)`,
  });
  const added = differences(rounds, 'gateway');
  const p50 = (name: Path): string => `${median(rounds.map((r) => r[name].p50Us)).toFixed(0)} us`;
  return {
    kind: 'measured',
    result: {
      ...{ figure: 'amqp-gateway-added-p50', value: Math.round(median(added)), unit: 'us', goal: { max: 120 } },
      ...{ comparator: 'RabbitMQ itself', rounds: added.length, spread: medianInterval(added) },
      detail: {
        ...Object.fromEntries(PATHS.map((name) => [name, p50(name)])),
        addedByHaproxyUs: median(differences(rounds, 'haproxy')),
        addedByPlainRelayUs: median(differences(rounds, 'plain')),
        mostLateMs: Math.max(...rounds.flatMap((r) => PATHS.map((name) => r[name].lateMs))),
      },
    },
  };
}

export const figures: readonly BenchFigure[] = [
  {
    ...{ name: 'amqp-gateway-added-p50', group: 'stream' },
    title: 'what the gateway adds to a message’s way, 40 MB/s of 16 kB, two traversals (median)',
    run,
  },
];
