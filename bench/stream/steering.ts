/**
 * A small path beside a full one on one node: p99 of 256 octets from client to client through the gateway, 200 a second, while a stream of data is kept full, against the same with nothing else
 * there. `full`: its producer always has more, and the stream's bound makes it wait, so that cores stay idle. `saturated`: no bound, whatever the machine gives. Each stream has a redis-server of its own and
 * both gateways share a process, as in a node. Issue 5: at most 3 times with half a core idle; saturated has no goal.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { isResolved, median, medianInterval, ratios, runPaired } from '../paired-rounds.ts';
import type { LoadOrders, LoadReport } from './gateway-figures.ts';
import { startProgram } from './processes.ts';
import type { GatewayOrders } from './programs/gateway-process.ts';
import type { SteerOrders, SteerReport } from './programs/redis-steer.ts';
import { openRedis, REDIS } from './redis-gateway.ts';

const PATHS = ['idle', 'full', 'saturated'] as const;
type Path = (typeof PATHS)[number];
const BOUND = 100_000_000;
const DATA = { bytes: 1_000_000, checksummed: false } as const;
const STEER = { messages: 800, perSecond: 200 } as const;
const ENOUGH_IDLE = 0.5;

interface Sample extends SteerReport {
  readonly idleCores: number;
  /** Octets of data a second meanwhile. */
  readonly rate: number;
}

/** Seconds that all cores together were idle since boot. */
function idleSeconds(): number {
  const fields = readFileSync('/proc/stat', 'utf8').split('\n')[0]?.trim().split(/\s+/) ?? [];
  return (Number(fields[4]) + Number(fields[5])) / 100;
}

async function compare(context: BenchContext): Promise<readonly Readonly<Record<Path, Sample>>[]> {
  const [small, large] = [await openRedis(context), await openRedis(context)];
  const common = { kind: 'gateway', engine: 'redis' } as const;
  const first: GatewayOrders = { ...common, target: small.target, password: small.password };
  const node = startProgram(context, 'gateway-process.ts', first);
  const { port } = await node.hear<{ port: number }>();
  const more = async (bytesPerSecond: number): Promise<number> => {
    node.tell({ ...common, target: large.target, password: large.password, bytesPerSecond } satisfies GatewayOrders);
    return (await node.hear<{ port: number }>()).port;
  };
  const data = { full: await more(BOUND), saturated: await more(0) };
  const orders = (at: number, change: Partial<LoadOrders> = {}): LoadOrders => ({
    ...{ port: at, password: large.password, messages: 100, ...DATA, ...change },
  });
  const load = startProgram(context, 'redis-load.ts', orders(data.full, { checksummed: true }));
  for (const at of [undefined, data.saturated]) {
    if (at !== undefined) load.tell(orders(at, { checksummed: true }));
    const { digests } = await load.hear<LoadReport>();
    if (digests[0] === undefined || digests[0] !== digests[1]) throw new Error('what was sent was changed');
  }
  const steerOrders: SteerOrders = { ...STEER, port, password: small.password };
  const steer = startProgram(context, 'redis-steer.ts', steerOrders);
  await steer.hear<SteerReport>();
  const { rounds } = await runPaired<Path, Sample>(context, {
    paths: PATHS,
    async measure(name) {
      let over = false;
      const rates: number[] = [];
      const [wasIdle, began] = [idleSeconds(), performance.now()];
      const fill = async (): Promise<void> => {
        while (!over && name !== 'idle') {
          load.tell(orders(data[name]));
          rates.push((await load.hear<LoadReport>()).rate);
        }
      };
      const filling = fill();
      steer.tell(steerOrders);
      const report = await steer.hear<SteerReport>();
      const idleCores = (idleSeconds() - wasIdle) / ((performance.now() - began) / 1000);
      over = true;
      await filling;
      return { ...report, idleCores, rate: rates.length === 0 ? 0 : median(rates) };
    },
    enough: (soFar) => isResolved(ratios(soFar, { of: 'full', to: 'idle', value: ({ p99Us }) => p99Us })),
    describe: (s) => `p99 ${s.p99Us} us, ${(s.rate / 1e6).toFixed(0)} MB/s, ${s.idleCores.toFixed(2)} cores idle`,
  });
  return rounds;
}

let running: Promise<readonly Readonly<Record<Path, Sample>>[]> | undefined;

async function run(context: BenchContext, name: 'full' | 'saturated'): Promise<FigureOutcome> {
  if (!existsSync(REDIS)) return { kind: 'skipped', reason: 'apt-get install --no-install-recommends redis-server' };
  running ??= compare(context);
  const rounds = await running;
  const paired = ratios(rounds, { of: name, to: 'idle', value: ({ p99Us }) => p99Us });
  const of = (key: keyof Sample, path: Path): number => median(rounds.map((round) => round[path][key]));
  const [low, high] = medianInterval(paired);
  const short = (value: number): number => Number(value.toFixed(2));
  return {
    kind: 'measured',
    result: {
      ...{ figure: `steering-p99-${name}`, value: short(median(paired)), unit: 'ratio', comparator: 'idle' },
      ...{ rounds: paired.length, spread: [short(low), short(high)] },
      // A ratio of tails; what matters is on which side of the goal its whole interval is, and that cores were idle.
      ...(name === 'full' && {
        goal: { max: 3 },
        resolved: (high <= 3 || low > 3) && of('idleCores', name) >= ENOUGH_IDLE,
      }),
      detail: {
        ...Object.fromEntries(PATHS.map((p) => [`${p}P99Us`, of('p99Us', p)])),
        ...Object.fromEntries(PATHS.map((p) => [`${p}P50Us`, of('p50Us', p)])),
        idleCores: short(of('idleCores', name)),
        dataMBs: Math.round(of('rate', name) / 1e6),
      },
    },
  };
}

export const figures: readonly BenchFigure[] = (['full', 'saturated'] as const).map((name) => ({
  name: `steering-p99-${name}`,
  group: 'stream',
  title: `p99 of small messages beside a stream of data that is ${name === 'full' ? 'full by back-pressure' : 'as fast as the machine goes'}, to none`,
  run: (context) => run(context, name),
}));
