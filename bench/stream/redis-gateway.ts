/**
 * The application gateway before a Redis, against HAProxy `mode tcp` and against a plain relay of ours that looks at nothing: XADD by one client, XREAD by another, 16 kB and 1 MB, through
 * the same redis-server. State: one measurement for each size, shared by its three figures. Issue 5, "Figures".
 */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { rightsOf } from '../../src/dsn/broker/redis/rights.ts';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { isResolved, median, medianInterval, type Round, ratios, runRounds } from '../paired-rounds.ts';
import { findHaproxy, haproxyMissing, startHaproxy } from './haproxy.ts';
import { cpuSeconds, freePort, type Program, portAnswers, startProgram } from './processes.ts';
import type { LoadReport } from './programs/redis-load.ts';

const REDIS = '/usr/bin/redis-server';
const PATHS = ['direct', 'haproxy-128k', 'haproxy-1M', 'plain', 'gateway'] as const;
type Path = (typeof PATHS)[number];

interface Sample {
  readonly rate: number;
  readonly cpuPerGB: number;
}

interface Size {
  readonly label: string;
  readonly bytes: number;
  readonly messages: number;
  /** Of the gateway's rate to the best HAProxy's. */
  readonly least: number;
}

const SIZES: readonly Size[] = [
  { label: '16kB', bytes: 16_000, messages: 20_000, least: 0.9 },
  { label: '1MB', bytes: 1_000_000, messages: 600, least: 1 },
];

interface Middle {
  readonly port: number;
  /** 0: there is none. */
  readonly pid: number;
}

interface Course {
  readonly load: Program;
  readonly password: string;
  readonly middles: ReadonlyMap<Path, Middle>;
}

let course: Promise<Course> | undefined;

async function openCourse(context: BenchContext): Promise<Course> {
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
  const middles = new Map<Path, Middle>([['direct', { port, pid: 0 }]]);
  for (const variant of ['haproxy-128k', 'haproxy-1M'] as const)
    middles.set(variant, await startHaproxy(context, variant, socket));
  for (const kind of ['plain', 'gateway'] as const) {
    const program = startProgram(context, 'gateway-process.ts', { kind, path: socket, password });
    middles.set(kind, { ...(await program.hear<{ port: number }>()), pid: program.pid });
  }
  const orders = { port, password, bytes: 1000, messages: 10, checksummed: true };
  const load = startProgram(context, 'redis-load.ts', orders);
  await load.hear<LoadReport>();
  // Every path first shows that what it passes is what was sent.
  for (const [name, middle] of middles)
    for (const { bytes, messages } of SIZES) {
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

const measured = new Map<string, Promise<Rounds>>();

function roundsOf(context: BenchContext, size: Size): Promise<Rounds> {
  const running = measured.get(size.label) ?? compare(context, size);
  measured.set(size.label, running);
  return running;
}

async function compare(context: BenchContext, size: Size): Promise<Rounds> {
  course ??= openCourse(context);
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

async function figureOf(context: BenchContext, size: Size, kind: Kind): Promise<FigureOutcome> {
  if (!existsSync(REDIS)) return { kind: 'skipped', reason: 'apt-get install --no-install-recommends redis-server' };
  if (findHaproxy() === undefined) return { kind: 'skipped', reason: haproxyMissing };
  const rounds = await roundsOf(context, size);
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
      figure: `redis-gateway-${kind}-${size.label}`,
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

const TITLES: Readonly<Record<Kind, string>> = {
  'to-haproxy': 'throughput of the Redis gateway against the better HAProxy',
  'to-plain-relay': 'throughput of the Redis gateway against a plain relay of ours',
  cpu: 'CPU seconds per GB of the Redis gateway against that HAProxy',
};

export const figures: readonly BenchFigure[] = SIZES.flatMap((size) =>
  (['to-haproxy', 'to-plain-relay', 'cpu'] as const).map((kind) => ({
    name: `redis-gateway-${kind}-${size.label}`,
    group: 'stream',
    title: `${TITLES[kind]}, ${size.label} messages`,
    run: (context: BenchContext) => figureOf(context, size, kind),
  })),
);
