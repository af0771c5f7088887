/** `beamway stream bench`: what a stream carries from here, by an open-loop load with digests. The engines' clients are loaded by this verb alone. */
import { type Command, Option } from 'commander';
import type { Client, Result } from '../client.ts';
import {
  CONFIRMS,
  type Confirms,
  ENGINES,
  type Engine,
  LOADS,
  type Load,
  PRESETS,
  type Preset,
  warningsOf,
} from './bench/load.ts';
import { HEADER_BYTES } from './bench/load-message.ts';
import type { LoadPath, PathTerms } from './bench/load-path.ts';
import type { LoadReport } from './bench/run-load.ts';
import { CommandError, EXIT } from './context.ts';
import { duration, positiveInteger } from './parse-arguments.ts';
import { bytes, details, printJson } from './print.ts';

/** A node reports once a second; what a bench before left is gone by then. */
const IDLE_WITHIN_MS = 6000;
const LOOK_MS = 500;
/** Beyond the run: to connect, and to wait for the last message. */
const SPARE_SECONDS = 60;
const SHORT_OF_RATE = 0.95;
const BUSY = 0.85;

const EXAMPLES = `
Examples:
  beamway stream bench str_… --preset deleria --rate 2000
  beamway stream bench str_… --preset steering --seconds 30s --json
  beamway stream bench str_… --preset steering --back str_…       a relay goes one way: answers come by another stream

Presets: deleria (16 kB, 1000/s), lcls (1 MB, 20/s), steering (256 B, 100/s, there and back). The stream must be empty and nobody else be
connected: a bench would take others' messages. It connects with credentials of its own, which end with it. Latency counts from when a
message was due, not from when it could be sent. Exit 1: something was lost or damaged.
`;

interface BenchOptions {
  readonly preset: Preset;
  readonly rate?: number;
  readonly seconds?: number;
  readonly size?: number;
  readonly producers?: number;
  readonly consumers?: number;
  readonly confirms?: Confirms;
  readonly prefetch?: number;
  readonly queues: number;
  readonly back?: string;
  readonly json?: boolean;
}

export function benchCommand(stream: Command, client: () => Client): void {
  stream
    .command('bench')
    .argument('<id>')
    .description('what a stream carries from here: rate, latency, and whether all of it arrives')
    .addOption(new Option('--preset <name>', 'a workload').choices(PRESETS).default('deleria'))
    .option('--rate <number>', 'messages a second, of all producers together', positiveInteger)
    .option('--seconds <duration>', 'default: 10', duration)
    .option('--size <bytes>', 'of each message', positiveInteger)
    .option('--producers <number>', 'default: 1', positiveInteger)
    .option('--consumers <number>', 'default: 1', positiveInteger)
    .addOption(new Option('--confirms <kind>', 'what a producer waits for').choices(CONFIRMS))
    .option('--prefetch <number>', 'messages a consumer holds unacknowledged; default: 64', positiveInteger)
    .option('--queues <number>', 'RabbitMQ: spread over so many', positiveInteger, 1)
    .option('--back <id>', 'the stream by which answers come back')
    .option('--json', 'print one JSON document')
    .addHelpText('after', EXAMPLES)
    .action(async (id: string, { json, ...options }: BenchOptions) => {
      const done = await bench(client(), id, options);
      if (json === true) printJson(done);
      else process.stdout.write(text(done));
      if (done.report.lost > 0 || done.report.damaged > 0) process.exitCode = EXIT.failed;
    });
}

interface Done {
  readonly stream: string;
  readonly engine: Engine;
  readonly load: Load;
  readonly report: LoadReport;
  readonly warnings: readonly string[];
}

async function bench(client: Client, id: string, options: Omit<BenchOptions, 'json'>): Promise<Done> {
  const { preset, queues, back, ...changes } = options;
  const [shown, other] = [await idle(client, id), back === undefined ? undefined : await idle(client, back)];
  const engine = engineOf(shown);
  const asked: Load = { ...LOADS[preset], ...changes };
  if (asked.size < HEADER_BYTES) throw new CommandError(`--size is at least ${HEADER_BYTES}.`);
  const oneWay = asked.roundTrip && engine === 'relay' && other === undefined;
  const load = { ...asked, roundTrip: other !== undefined || (asked.roundTrip && !oneWay) };
  const faults: string[] = [];
  const terms = { load, queues, onFault: (fault: string) => void faults.push(fault) };
  const { runLoad } = await import('./bench/run-load.ts');
  const there = await openPath(client, shown, { ...terms, back: false });
  const report = await (async () => {
    try {
      const answers = load.roundTrip
        ? await openPath(client, other ?? shown, { ...terms, queues: 1, back: other === undefined })
        : undefined;
      return await runLoad(answers === undefined ? { there } : { there, back: answers }, load);
    } catch (cause) {
      // It may be the very thing that went wrong.
      await there.close().catch(() => undefined);
      const why = faults[0] ?? (cause instanceof Error ? cause.message : String(cause));
      throw new CommandError(`${id} could not be measured: ${why}. Next: beamway stream doctor ${id}`, EXIT.failed);
    }
  })();
  const warnings = [
    ...warningsOf(load, { engine, queues }),
    ...(oneWay ? ['a relay goes one way: this is the way there alone; --back STREAM measures there and back'] : []),
    ...((changes.confirms ?? 'none') !== 'none' && engine === 'relay'
      ? ['a relay confirms nothing: a full buffer holds the sender up instead']
      : []),
    ...(load.confirms === 'none' && engine === 'redis'
      ? ['Redis answers every XADD: without confirms is as async here']
      : []),
    ...verdicts(load, report),
    ...faults.map((fault) => `a connection ended in the run: ${fault}`),
  ];
  return { stream: id, engine, load, report, warnings };
}

function verdicts(load: Load, report: LoadReport): readonly string[] {
  const warnings: string[] = [];
  if (report.busy > BUSY)
    warnings.push(
      `client saturated: this program worked ${Math.round(report.busy * 100)} % of the time, so these are its own figures; lower --rate, or run several of it`,
    );
  if (report.sent < report.asked * SHORT_OF_RATE)
    warnings.push(
      `${report.asked - report.sent} of ${report.asked} messages could not be sent in time: the stream held producers up ${Math.round(report.heldUp * 100)} % of the time; more consumers, or a lower --rate`,
    );
  if (report.refused > 0)
    warnings.push(`a full buffer refused ${report.refused} times: consumers are slower than --rate ${load.rate}`);
  if (report.lost > 0) warnings.push(`${report.lost} messages were taken by the stream and never arrived`);
  if (report.damaged > 0) warnings.push(`${report.damaged} messages arrived with other content than was sent`);
  if (report.foreign > 0) warnings.push(`${report.foreign} messages of somebody else were taken from the stream`);
  return warnings;
}

type Shown = Result<'stream.show'>;

function engineOf({ engine }: Shown): Engine {
  const known = ENGINES.find((e) => e === engine);
  if (known === undefined) throw new CommandError(`This program knows no engine ${engine}: bring it up to date.`);
  return known;
}

/** Waits a moment for what a bench before left. Throws CommandError where the stream is not ready, or is in use. */
async function idle(client: Client, id: string): Promise<Shown> {
  for (const until = performance.now() + IDLE_WITHIN_MS; ; ) {
    const shown = await client.call('stream.show', { params: { id } });
    if (shown.state !== 'ready') throw new CommandError(`${id} is ${shown.state}: ${shown.reason}`, EXIT.failed);
    const { producers = 0, consumers = 0, buffered = 0 } = shown.counters ?? {};
    if (producers + consumers + buffered === 0) return shown;
    if (performance.now() > until)
      throw new CommandError(
        `${id} is in use (${producers} producers, ${consumers} consumers, ${buffered} messages buffered): a bench would take its messages. Make one for it: beamway stream create --template ${shown.template}`,
        EXIT.failed,
      );
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

interface OpenTerms extends Pick<PathTerms, 'queues' | 'back' | 'onFault'> {
  readonly load: Load;
}

async function openPath(client: Client, shown: Shown, { load, ...rest }: OpenTerms): Promise<LoadPath> {
  const issue = (role: 'producer' | 'consumer') =>
    client.call('stream.credential', {
      params: { id: shown.id },
      body: { role, lifetimeSeconds: load.seconds + SPARE_SECONDS },
    });
  const terms: PathTerms = {
    ...rest,
    producer: await issue('producer'),
    consumer: await issue('consumer'),
    confirms: load.confirms !== 'none',
    prefetch: load.prefetch,
    consumers: load.consumers,
    redeliver: shown.delivery === 'redeliver',
  };
  switch (engineOf(shown)) {
    case 'redis':
      return (await import('./bench/redis-path.ts')).redisPath(terms);
    case 'rabbitmq':
      return (await import('./bench/rabbitmq-path.ts')).rabbitmqPath(terms);
    case 'relay':
      return (await import('./bench/relay-path.ts')).relayPath(terms);
  }
}

function text({ stream, engine, load, report, warnings }: Done): string {
  const times = (name: string, t: LoadReport['latencyMs']): [string, string] => [
    name,
    t === null ? '-' : `p50 ${t.p50} ms, p90 ${t.p90} ms, p99 ${t.p99} ms, max ${t.max} ms`,
  ];
  const per = (rate: number): string => `${rate.toFixed(rate < 10 ? 1 : 0)}/s`;
  const lines = details([
    ['stream', `${stream} (${engine})`],
    [
      'asked',
      `${per(load.rate)} of ${load.size} octets for ${load.seconds} s, ${load.producers} to ${load.consumers}, confirms ${load.confirms}, prefetch ${load.prefetch}`,
    ],
    ['achieved', `${per(report.messagesPerSecond)}, ${bytes(report.bytesPerSecond)}/s`],
    times(load.roundTrip ? 'there and back' : 'latency', report.latencyMs),
    times('left late by', report.lateMs),
    ['messages', `${report.sent} of ${report.asked} sent, ${report.received} received whole`],
    ['lost', report.lost],
    ['duplicated', report.duplicated],
    ['reordered', report.reordered],
    ['damaged', report.damaged],
    ['client busy', `${Math.round(report.busy * 100)} %`],
  ]);
  return `${lines}${warnings.map((w) => `warning: ${w}\n`).join('')}`;
}
