/** What `stream bench` is asked to do: presets of the workloads that others publish, and what is known beforehand to spoil a figure. Pure. */

export const CONFIRMS = ['none', 'async', 'batch', 'sync'] as const;
export const PRESETS = ['deleria', 'lcls', 'steering'] as const;
export const ENGINES = ['redis', 'rabbitmq', 'relay'] as const;
export type Confirms = (typeof CONFIRMS)[number];
export type Preset = (typeof PRESETS)[number];
export type Engine = (typeof ENGINES)[number];

export interface Load {
  /** Messages a second that all producers together are to send. */
  readonly rate: number;
  readonly seconds: number;
  /** Octets of each message. */
  readonly size: number;
  readonly producers: number;
  readonly consumers: number;
  readonly confirms: Confirms;
  /** Messages that a consumer holds unacknowledged, at most. */
  readonly prefetch: number;
  /** Latency is that of the answer to each message. */
  readonly roundTrip: boolean;
}

const USUAL = { seconds: 10, producers: 1, consumers: 1, confirms: 'batch', prefetch: 64, roundTrip: false } as const;

/** Sizes are those of StreamSim's workloads; its rates (32 and 30 Gbit/s) are for many hosts, so `--rate` begins lower. */
export const LOADS: Readonly<Record<Preset, Load>> = {
  /** 8 events of 2,000 octets in each message. */
  deleria: { ...USUAL, rate: 1000, size: 16_000 },
  lcls: { ...USUAL, rate: 20, size: 1_000_000 },
  steering: { ...USUAL, rate: 100, size: 256, confirms: 'async', roundTrip: true },
};

/** A confirm for so many at once: StreamSim's 64. */
export const BATCH = 64;
const LARGE_BYTES = 16_777_216;

export interface Facts {
  readonly engine: Engine;
  /** Queues that the load is spread over; RabbitMQ only. */
  readonly queues: number;
}

/** In words, each with what to do. */
export function warningsOf(load: Load, { engine, queues }: Facts): readonly string[] {
  const warnings: string[] = [];
  if (load.confirms === 'sync' && engine !== 'relay')
    warnings.push(
      'synchronous confirms: each message waits for its own answer, so the rate is bounded by the way there and back; use --confirms batch or async',
    );
  if (load.confirms === 'none' && engine === 'rabbitmq')
    warnings.push('no confirms: what a full queue refuses is gone and nobody is told; use --confirms batch');
  if (load.prefetch === 1 && engine !== 'relay')
    warnings.push('prefetch 1: a consumer waits for the broker after every message; use --prefetch 64');
  if (engine === 'rabbitmq' && queues === 1 && load.producers + load.consumers > 2)
    warnings.push('a single queue: RabbitMQ serves a queue with one core however many clients there are; use --queues');
  if (load.size > LARGE_BYTES)
    warnings.push(
      `oversized messages: above 16 MiB brokers hold up everything else behind one message; cut ${load.size} octets into pieces of about 1 MB`,
    );
  return warnings;
}
