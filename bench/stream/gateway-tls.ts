/** TLS 1.3 ended in our gateway against TLS 1.3 ended in HAProxy `mode tcp`, before one redis-server's Unix socket, with one certificate: throughput and CPU seconds per GB. The rights and counts of the gateway are in it, HAProxy looks at nothing. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { newRequest } from '../../src/dsn/certificate/node-certificate.ts';
import { makeAuthority, signNodeCertificate } from '../../src/identity/authority/certificates.ts';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { isResolved, median, medianInterval, ratios, runPaired } from '../paired-rounds.ts';
import type { LoadOrders, LoadReport } from './gateway-figures.ts';
import { findHaproxy, haproxyMissing, startHaproxy } from './haproxy.ts';
import { cpuSeconds, startProgram } from './processes.ts';
import type { GatewayOrders } from './programs/gateway-process.ts';
import { openRedis, REDIS } from './redis-gateway.ts';

const PATHS = ['haproxy', 'gateway'] as const;
type Path = (typeof PATHS)[number];
const SIZES = [
  { label: '16kB', bytes: 16_000, messages: 8000 },
  { label: '1MB', bytes: 1_000_000, messages: 200 },
] as const;
type Size = (typeof SIZES)[number];

interface Sample {
  readonly rate: number;
  readonly cpuPerGB: number;
}

type Measure = (name: Path, size: Size) => Promise<Sample>;
let course: Promise<Measure> | undefined;

async function openCourse(context: BenchContext): Promise<Measure> {
  const authority = await makeAuthority('bench', Date.now());
  const { request, privateKeyPem: key } = await newRequest('dsn01');
  const of = { node: 'dsn01', addresses: ['127.0.0.1'], hostnames: [], nowMs: Date.now() };
  const signed = await signNodeCertificate(authority, request, of);
  if (signed === undefined) throw new Error('not signed');
  const folder = mkdtempSync(path.join(tmpdir(), 'beamway-bench-tls-'));
  context.defer(() => rmSync(folder, { recursive: true, force: true }));
  const pemFile = path.join(folder, 'both.pem');
  writeFileSync(pemFile, `${signed.certificatePem}\n${key}\n`, { mode: 0o600 });
  const { target, password } = await openRedis(context);
  const haproxy = await startHaproxy(context, 'haproxy-128k', { target, pemFile });
  const orders: GatewayOrders = {
    ...{ kind: 'gateway', engine: 'redis', target, password },
    tls: { key, cert: signed.certificatePem },
  };
  const gateway = startProgram(context, 'gateway-process.ts', orders);
  const { port } = await gateway.hear<{ port: number }>();
  const at = { haproxy, gateway: { port, pid: gateway.pid } };
  const loadOrders = (name: Path, size: Size): LoadOrders => ({
    ...{ port: at[name].port, password, bytes: size.bytes, messages: size.messages, checksummed: false },
    authority: authority.certificatePem,
  });
  const load = startProgram(context, 'redis-load.ts', { ...loadOrders('haproxy', SIZES[0]), messages: 10 });
  await load.hear<LoadReport>();
  for (const name of PATHS)
    for (const size of SIZES) {
      load.tell({ ...loadOrders(name, size), messages: Math.ceil(size.messages / 10), checksummed: true });
      const { digests } = await load.hear<LoadReport>();
      if (digests[0] === undefined || digests[0] !== digests[1]) throw new Error(`${name} changed what was sent`);
    }
  return async (name, size) => {
    const before = cpuSeconds(at[name].pid);
    load.tell(loadOrders(name, size));
    const { rate, messages } = await load.hear<LoadReport>();
    if (messages !== size.messages) throw new Error(`${messages} of ${size.messages} messages came through ${name}`);
    return { rate, cpuPerGB: ((cpuSeconds(at[name].pid) - before) * 1e9) / (size.bytes * size.messages) };
  };
}

const done = new Map<string, Promise<readonly Readonly<Record<Path, Sample>>[]>>();

async function compare(context: BenchContext, size: Size): Promise<readonly Readonly<Record<Path, Sample>>[]> {
  course ??= openCourse(context);
  const measure = await course;
  for (const name of PATHS) await measure(name, size);
  const { rounds } = await runPaired<Path, Sample>(context, {
    paths: PATHS,
    measure: (name) => measure(name, size),
    enough: (soFar) => isResolved(ratios(soFar, { of: 'gateway', to: 'haproxy', value: ({ rate }) => rate })),
    describe: ({ rate, cpuPerGB }) => `${(rate / 1e6).toFixed(0)} MB/s ${cpuPerGB.toFixed(2)} s/GB`,
  });
  return rounds;
}

async function run(context: BenchContext, size: Size, kind: 'rate' | 'cpu'): Promise<FigureOutcome> {
  if (!existsSync(REDIS)) return { kind: 'skipped', reason: 'apt-get install --no-install-recommends redis-server' };
  if (findHaproxy() === undefined) return { kind: 'skipped', reason: haproxyMissing };
  const running = done.get(size.label) ?? compare(context, size);
  done.set(size.label, running);
  const rounds = await running;
  const key = kind === 'rate' ? 'rate' : 'cpuPerGB';
  const paired = ratios(rounds, { of: 'gateway', to: 'haproxy', value: (sample) => sample[key] });
  const short = (value: number): number => Number(value.toFixed(3));
  const [low, high] = medianInterval(paired);
  const shown = (name: Path): string => {
    const value = median(rounds.map((round) => round[name][key]));
    return kind === 'rate' ? `${(value / 1e6).toFixed(0)} MB/s` : `${value.toFixed(3)} s/GB`;
  };
  return {
    kind: 'measured',
    result: {
      ...{ figure: `redis-gateway-tls-${kind}-${size.label}`, value: short(median(paired)), unit: 'ratio' },
      ...{ comparator: 'HAProxy that ends TLS', rounds: paired.length, spread: [short(low), short(high)] },
      resolved: isResolved(paired),
      detail: Object.fromEntries(PATHS.map((name) => [name, shown(name)])),
    },
  };
}

export const figures: readonly BenchFigure[] = SIZES.flatMap((size) =>
  (['rate', 'cpu'] as const).map((kind) => ({
    ...{ name: `redis-gateway-tls-${kind}-${size.label}`, group: 'stream' },
    title: `${kind === 'rate' ? 'throughput' : 'CPU seconds per GB'} of TLS ended in the gateway against HAProxy, ${size.label} messages`,
    run: (context: BenchContext) => run(context, size, kind),
  })),
);
