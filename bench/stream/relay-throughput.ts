/**
 * Relay throughput and CPU against HAProxy `mode tcp` relaying a direct libzmq pair, 2 MiB and 64 KiB messages, one producer
 * and one consumer. Every process is its own; the client programs and their sockets are the same on every path.
 * State: one measurement per size, shared by the throughput and the CPU figure. Issue 2, "Figures to reach", first bullet.
 */
import { randomBytes } from 'node:crypto';
import type { BenchContext, BenchFigure, FigureOutcome, FigureResult } from '../figure.ts';
import { isResolved, median, medianInterval, type Round, ratios, runRounds } from '../paired-rounds.ts';
import { findHaproxy, haproxyMissing, haproxyVariants, startHaproxy } from './haproxy.ts';
import { cpuSeconds, freePort, type Program, startProgram } from './processes.ts';
import type { PullOrders, PullReport } from './programs/pull-client.ts';
import type { PushOrders } from './programs/push-client.ts';
import type { RelayOrders } from './programs/relay-process.ts';

const paths = ['direct', ...haproxyVariants, 'relay'] as const;
type Path = (typeof paths)[number];

interface Sample {
  /** Bytes of message bodies per second, first message to last. */
  readonly rate: number;
  /** CPU seconds of the process in the middle per GB (10^9 bytes) of message bodies; 0 on the direct path. */
  readonly cpuPerGB: number;
}

interface Size {
  readonly label: string;
  readonly bytes: number;
  readonly messages: number;
}

const sizes: readonly Size[] = [
  { label: '2MiB', bytes: 2 * 1024 * 1024, messages: 640 },
  { label: '64KiB', bytes: 64 * 1024, messages: 16_000 },
];
const BUFFER_BYTES = 64 * 1024 * 1024;

interface Middle {
  readonly pid: number;
  readonly push: Pick<PushOrders, 'endpoint' | 'username' | 'password'>;
  readonly pull: Pick<PullOrders, 'bind' | 'endpoint' | 'username' | 'password'>;
  /** Resolves when the consumer can be reached through it. */
  ready(): Promise<void>;
  end(): Promise<void>;
}

async function openMiddle(context: BenchContext, path: Path): Promise<Middle> {
  if (path === 'relay') return openRelayPath(context);
  const target = await freePort();
  const pull = { bind: true, endpoint: `tcp://127.0.0.1:${target}` };
  if (path === 'direct') {
    return {
      pid: 0,
      pull,
      push: { endpoint: pull.endpoint },
      ready: async () => undefined,
      end: async () => undefined,
    };
  }
  const haproxy = await startHaproxy(context, path, target);
  const end = async (): Promise<void> => void process.kill(haproxy.pid, 'SIGTERM');
  return {
    pid: haproxy.pid,
    pull,
    push: { endpoint: `tcp://127.0.0.1:${haproxy.port}` },
    ready: async () => undefined,
    end,
  };
}

async function openRelayPath(context: BenchContext): Promise<Middle> {
  const password = randomBytes(24).toString('base64url');
  const orders: RelayOrders = { delivery: 'at-most-once', bufferBytes: BUFFER_BYTES, password };
  const relay: Program = startProgram(context, 'relay-process.ts', orders);
  const { port } = await relay.hear<{ port: number }>();
  const endpoint = `tcp://127.0.0.1:${port}`;
  return {
    pid: relay.pid,
    push: { endpoint, username: 'producer', password },
    pull: { bind: false, endpoint, username: 'consumer', password },
    async ready() {
      for (;;) {
        relay.tell({});
        if ((await relay.hear<{ consumers: number }>()).consumers > 0) return;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    end: () => relay.end(),
  };
}

async function measure(context: BenchContext, middle: Middle, size: Size): Promise<Sample> {
  const { bytes, messages } = size;
  const pull = startProgram(context, 'pull-client.ts', {
    ...middle.pull,
    messages,
    redeliver: false,
    checksummed: false,
  });
  await pull.hear();
  await middle.ready();
  const before = middle.pid === 0 ? 0 : cpuSeconds(middle.pid);
  const push = startProgram(context, 'push-client.ts', {
    ...middle.push,
    messages,
    bytes,
    checksummed: false,
    producer: 0,
  });
  const report = await pull.hear<PullReport>();
  const spent = middle.pid === 0 ? 0 : cpuSeconds(middle.pid) - before;
  await Promise.all([push.exited, pull.exited]);
  if (report.messages !== messages) throw new Error(`${report.messages} of ${messages} messages came`);
  return { rate: report.rate, cpuPerGB: (spent * 1e9) / (bytes * messages) };
}

interface Measurement {
  readonly best: Path;
  readonly rates: readonly number[];
  readonly cpus: readonly number[];
  /** Least CPU per GB of all HAProxy variants; splice(2) touches no byte but is not the fastest. */
  readonly frugal: Path;
  readonly medians: Readonly<Record<Path, Sample>>;
}

type Rounds = readonly Round<Path, Sample>[];

/** Rounds in which all paths are measured; the best HAProxy is chosen from them, later rounds compare with it alone. */
const ALL_PATHS_ROUNDS = 7;
/** Measurements that are not counted: compiled code and warm memory are what a node has that ran for a minute. */
const WARM_UP_RUNS = 3;

function medianOf(rounds: Rounds, path: Path, key: keyof Sample): number {
  return median(rounds.map((round) => round[path]?.[key]).filter((value) => value !== undefined));
}

function evaluate(rounds: Rounds): Measurement {
  const full = rounds.slice(0, ALL_PATHS_ROUNDS);
  const top = (better: (path: Path, than: Path) => boolean): Path =>
    haproxyVariants.reduce<Path>((so, path) => (better(path, so) ? path : so), haproxyVariants[0]);
  // By medians over rounds; the best of each round would be the luckiest of four, not the best one.
  const best = top((path, than) => medianOf(full, path, 'rate') > medianOf(full, than, 'rate'));
  const frugal = top((path, than) => medianOf(full, path, 'cpuPerGB') < medianOf(full, than, 'cpuPerGB'));
  const medians = Object.fromEntries(
    paths.map((path) => [path, { rate: medianOf(rounds, path, 'rate'), cpuPerGB: medianOf(rounds, path, 'cpuPerGB') }]),
  );
  return {
    best,
    frugal,
    rates: ratios(rounds, { of: 'relay', to: best, value: ({ rate }) => rate }),
    cpus: ratios(rounds, { of: 'relay', to: best, value: ({ cpuPerGB }) => cpuPerGB }),
    medians: medians as Record<Path, Sample>,
  };
}

function nextPaths(context: BenchContext, rounds: Rounds): readonly Path[] | undefined {
  const { min, max } = context.rounds;
  if (rounds.length < Math.min(min, ALL_PATHS_ROUNDS)) return paths;
  const { best, rates, cpus } = evaluate(rounds);
  const enough = rounds.length >= min && isResolved(rates) && isResolved(cpus);
  return enough || rounds.length >= max ? undefined : ['direct', best, 'relay'];
}

const done = new Map<string, Promise<Measurement>>();

function measurement(context: BenchContext, size: Size): Promise<Measurement> {
  const running = done.get(size.label) ?? compare(context, size);
  done.set(size.label, running);
  return running;
}

async function compare(context: BenchContext, size: Size): Promise<Measurement> {
  const middles = new Map<Path, Middle>();
  for (const path of paths) middles.set(path, await openMiddle(context, path));
  for (let run = 0; run < WARM_UP_RUNS; run += 1) {
    for (const middle of middles.values()) await measure(context, middle, size);
  }
  const rounds = await runRounds<Path, Sample>(context, {
    next: (soFar) => nextPaths(context, soFar),
    async measure(path) {
      const middle = middles.get(path);
      if (middle === undefined) throw new Error(`no path ${path}`);
      return measure(context, middle, size);
    },
    describe: ({ rate, cpuPerGB }) => `${(rate / 1e6).toFixed(0)} MB/s ${cpuPerGB.toFixed(2)} s/GB`,
  });
  for (const middle of middles.values()) await middle.end();
  return evaluate(rounds);
}

async function figureOf(context: BenchContext, size: Size, kind: 'throughput' | 'cpu'): Promise<FigureOutcome> {
  if (findHaproxy() === undefined) return { kind: 'skipped', reason: haproxyMissing };
  const measured = await measurement(context, size);
  const paired = kind === 'throughput' ? measured.rates : measured.cpus;
  const shown = paths.map((path) => {
    const { rate, cpuPerGB } = measured.medians[path];
    return [path, kind === 'throughput' ? `${(rate / 1e6).toFixed(0)} MB/s` : `${cpuPerGB.toFixed(3)} s/GB`];
  });
  const frugalRatio = measured.medians.relay.cpuPerGB / measured.medians[measured.frugal].cpuPerGB;
  const result: FigureResult = {
    figure: `relay-${kind}-${size.label}`,
    value: Number(median(paired).toFixed(3)),
    unit: 'ratio',
    comparator: measured.best,
    goal: kind === 'throughput' ? { min: 0.9 } : { max: 1.3 },
    rounds: paired.length,
    spread: [Number(medianInterval(paired)[0].toFixed(3)), Number(medianInterval(paired)[1].toFixed(3))],
    resolved: isResolved(paired),
    detail: {
      ...Object.fromEntries(shown),
      ...(kind === 'cpu' ? { [`relay/${measured.frugal}`]: frugalRatio.toFixed(2) } : {}),
    },
  };
  return { kind: 'measured', result };
}

export const figures: readonly BenchFigure[] = sizes.flatMap((size) =>
  (['throughput', 'cpu'] as const).map((kind) => ({
    name: `relay-${kind}-${size.label}`,
    group: 'stream',
    title: `${kind === 'cpu' ? 'CPU seconds per GB' : 'throughput'} of the relay against the best HAProxy, ${size.label} messages`,
    run: (context: BenchContext) => figureOf(context, size, kind),
  })),
);
