/**
 * Our application gateway against HAProxy `mode tcp` and against a plain relay of ours that looks at nothing, before one broker: the comparison that every engine's figures share.
 * State: one measurement for each size, shared by its three figures. Issue 5, "Figures".
 */
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { isResolved, median, medianInterval, type Round, ratios, runRounds } from '../paired-rounds.ts';
import { findHaproxy, haproxyMissing, startHaproxy } from './haproxy.ts';
import { cpuSeconds, type Program, startProgram } from './processes.ts';
import type { GatewayOrders } from './programs/gateway-process.ts';

const PATHS = ['direct', 'haproxy-128k', 'haproxy-1M', 'plain', 'gateway'] as const;
type Path = (typeof PATHS)[number];

interface Sample {
  readonly rate: number;
  readonly cpuPerGB: number;
}

export interface Size {
  readonly label: string;
  readonly bytes: number;
  readonly messages: number;
  /** Of the gateway's rate to the best HAProxy's. */
  readonly least: number;
}

interface Middle {
  readonly port: number;
  /** 0: there is none. */
  readonly pid: number;
}

export interface Course {
  readonly load: Program;
  readonly password: string;
  readonly middles: ReadonlyMap<Path, Middle>;
}

export interface LoadOrders {
  readonly port: number;
  readonly password: string;
  readonly bytes: number;
  readonly messages: number;
  readonly checksummed: boolean;
  /** Of the authority that signed what is at the port, where that speaks TLS. */
  readonly authority?: string;
}

export interface LoadReport {
  /** Payload bytes per second, first message to last. */
  readonly rate: number;
  readonly messages: number;
  /** Of all payloads in their order, as sent and as read; empty where not asked for. */
  readonly digests: readonly [string, string] | readonly [];
}

export interface Engine {
  readonly engine: 'redis' | 'amqp';
  readonly sizes: readonly Size[];
  /** Undefined: what is missing is installed. */
  readonly missing: () => string | undefined;
  /** Starts the broker. */
  readonly open: (context: BenchContext) => Promise<BrokerAt>;
  readonly loadProgram: string;
}

export interface BrokerAt {
  /** A port of the loopback for clients. */
  readonly port: number;
  /** What middles connect to: that port, or a Unix socket. */
  readonly target: number | string;
  readonly password: string;
}

async function openCourse(context: BenchContext, engine: Engine): Promise<Course> {
  const { port, target, password } = await engine.open(context);
  const middles = new Map<Path, Middle>([['direct', { port, pid: 0 }]]);
  for (const variant of ['haproxy-128k', 'haproxy-1M'] as const)
    middles.set(variant, await startHaproxy(context, variant, target));
  for (const kind of ['plain', 'gateway'] as const) {
    const orders: GatewayOrders = { kind, engine: engine.engine, target, password };
    const program = startProgram(context, 'gateway-process.ts', orders);
    middles.set(kind, { ...(await program.hear<{ port: number }>()), pid: program.pid });
  }
  const orders = { port, password, bytes: 1000, messages: 10, checksummed: true };
  const load = startProgram(context, engine.loadProgram, orders);
  await load.hear<LoadReport>();
  // Every path first shows that what it passes is what was sent.
  for (const [name, middle] of middles)
    for (const { bytes, messages } of engine.sizes) {
      load.tell({ ...orders, port: middle.port, bytes, messages: Math.ceil(messages / 10) });
      const { digests } = await load.hear<LoadReport>();
      if (digests[0] === undefined || digests[0] !== digests[1]) throw new Error(`${name} changed what was sent`);
    }
  return { load, password, middles };
}

async function measure({ load, password, middles }: Course, name: Path, { bytes, messages }: Size): Promise<Sample> {
  const middle = middles.get(name);
  if (middle === undefined) throw new Error(`no path ${name}`);
  const before = middle.pid === 0 ? 0 : cpuSeconds(middle.pid);
  load.tell({ port: middle.port, password, bytes, messages, checksummed: false });
  const { rate, messages: came } = await load.hear<LoadReport>();
  if (came !== messages) throw new Error(`${came} of ${messages} messages came through ${name}`);
  const spent = middle.pid === 0 ? 0 : cpuSeconds(middle.pid) - before;
  return { rate, cpuPerGB: (spent * 1e9) / (bytes * messages) };
}

type Rounds = readonly Round<Path, Sample>[];
const medianOf = (rounds: Rounds, name: Path, key: keyof Sample): number =>
  median(rounds.flatMap((round) => round[name]?.[key] ?? []));

/** By the median over the rounds: the best of each round would be the luckier one. */
const bestOf = (rounds: Rounds): Path =>
  medianOf(rounds, 'haproxy-1M', 'rate') > medianOf(rounds, 'haproxy-128k', 'rate') ? 'haproxy-1M' : 'haproxy-128k';

const courses = new Map<string, Promise<Course>>();
const measured = new Map<string, Promise<Rounds>>();

function roundsOf(context: BenchContext, engine: Engine, size: Size): Promise<Rounds> {
  const key = `${engine.engine} ${size.label}`;
  const running = measured.get(key) ?? compare(context, engine, size);
  measured.set(key, running);
  return running;
}

async function compare(context: BenchContext, engine: Engine, size: Size): Promise<Rounds> {
  const course = courses.get(engine.engine) ?? openCourse(context, engine);
  courses.set(engine.engine, course);
  const open = await course;
  for (const name of PATHS) await measure(open, name, size);
  return runRounds<Path, Sample>(context, {
    next(soFar) {
      if (soFar.length < context.rounds.min) return PATHS;
      const rate = ratios(soFar, { of: 'gateway', to: bestOf(soFar), value: ({ rate: r }) => r });
      const relay = ratios(soFar, { of: 'gateway', to: 'plain', value: ({ rate: r }) => r });
      const done = (isResolved(rate) && isResolved(relay)) || soFar.length >= context.rounds.max;
      return done ? undefined : PATHS;
    },
    measure: (name) => measure(open, name, size),
    describe: ({ rate, cpuPerGB }) => `${(rate / 1e6).toFixed(0)} MB/s ${cpuPerGB.toFixed(2)} s/GB`,
  });
}

type Kind = 'to-haproxy' | 'to-plain-relay' | 'cpu';

async function figureOf(context: BenchContext, engine: Engine, size: Size, kind: Kind): Promise<FigureOutcome> {
  const missing = engine.missing();
  if (missing !== undefined) return { kind: 'skipped', reason: missing };
  if (findHaproxy() === undefined) return { kind: 'skipped', reason: haproxyMissing };
  const rounds = await roundsOf(context, engine, size);
  const to = kind === 'to-plain-relay' ? 'plain' : bestOf(rounds);
  const key = kind === 'cpu' ? 'cpuPerGB' : 'rate';
  const paired = ratios(rounds, { of: 'gateway', to, value: (sample) => sample[key] });
  const shown = PATHS.map((name) => {
    const value = medianOf(rounds, name, key);
    return [name, kind === 'cpu' ? `${value.toFixed(3)} s/GB` : `${(value / 1e6).toFixed(0)} MB/s`];
  });
  return {
    kind: 'measured',
    result: {
      figure: `${engine.engine}-gateway-${kind}-${size.label}`,
      value: Number(median(paired).toFixed(3)),
      unit: 'ratio',
      comparator: to,
      goal: kind === 'cpu' ? { max: 1.3 } : { min: kind === 'to-haproxy' ? size.least : 0.95 },
      rounds: paired.length,
      spread: [Number(medianInterval(paired)[0].toFixed(3)), Number(medianInterval(paired)[1].toFixed(3))],
      resolved: isResolved(paired),
      detail: Object.fromEntries(shown) as Record<string, string>,
    },
  };
}

const NAMES = { redis: 'Redis', amqp: 'AMQP' } as const;
const TITLES: Readonly<Record<Kind, (name: string) => string>> = {
  'to-haproxy': (name) => `throughput of the ${name} gateway against the better HAProxy`,
  'to-plain-relay': (name) => `throughput of the ${name} gateway against a plain relay of ours`,
  cpu: (name) => `CPU seconds per GB of the ${name} gateway against that HAProxy`,
};

export const gatewayFigures = (engine: Engine): readonly BenchFigure[] =>
  engine.sizes.flatMap((size) =>
    (['to-haproxy', 'to-plain-relay', 'cpu'] as const).map((kind) => ({
      name: `${engine.engine}-gateway-${kind}-${size.label}`,
      group: 'stream',
      title: `${TITLES[kind](NAMES[engine.engine])}, ${size.label} messages`,
      run: (context: BenchContext) => figureOf(context, engine, size, kind),
    })),
  );
