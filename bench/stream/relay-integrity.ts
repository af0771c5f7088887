/**
 * Nothing lost, repeated, reordered or changed: 20,000 frames of 64 KiB, each with producer, sequence and SHA-1, from two
 * producers through a small buffer to a consumer that pauses; and once more on a redeliver stream whose consumer is killed
 * in the middle and replaced. Counts, not ratios: the goal is 0.
 * Owns no state. Issue 2, "Figures to reach", third bullet.
 */
import { randomBytes } from 'node:crypto';
import type { RelayCounters } from '../../src/dsn/broker/relay/index.ts';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { type Program, startProgram } from './processes.ts';
import type { PullReport } from './programs/pull-client.ts';

const FRAMES = 20_000;
const FRAME_BYTES = 65_536;
const PRODUCERS = 2;
/** Small against what is sent, so that producers wait most of the time. */
const BUFFER_BYTES = 8 * 1024 * 1024;

interface Course {
  readonly relay: Program;
  startConsumer(more: object): Program;
  startProducers(): readonly Program[];
  counters(): Promise<RelayCounters>;
}

async function openCourse(context: BenchContext, delivery: 'at-most-once' | 'redeliver'): Promise<Course> {
  const password = randomBytes(24).toString('base64url');
  const relay = startProgram(context, 'relay-process.ts', { delivery, bufferBytes: BUFFER_BYTES, password });
  const { port } = await relay.hear<{ port: number }>();
  const endpoint = `tcp://127.0.0.1:${port}`;
  const consumer = {
    bind: false,
    endpoint,
    username: 'consumer',
    password,
    redeliver: delivery === 'redeliver',
    checksummed: true,
  };
  return {
    relay,
    startConsumer: (more) => startProgram(context, 'pull-client.ts', { ...consumer, messages: FRAMES, ...more }),
    startProducers: () =>
      Array.from({ length: PRODUCERS }, (_, producer) => {
        const orders = {
          endpoint,
          username: 'producer',
          password,
          messages: FRAMES / PRODUCERS,
          bytes: FRAME_BYTES,
          checksummed: true,
        };
        return startProgram(context, 'push-client.ts', { ...orders, producer });
      }),
    async counters() {
      relay.tell({});
      return relay.hear<RelayCounters>();
    },
  };
}

/** A consumer that never gets its last frame would wait for ever; the relay says when there is nothing left for it. */
async function reportOrEnd(course: Course, consumer: Program, producers: readonly Program[]): Promise<PullReport> {
  const report = consumer.hear<PullReport>();
  const drained = (async () => {
    await Promise.all(producers.map(({ exited }) => exited));
    for (;;) {
      const { buffered, producers: live } = await course.counters();
      if (buffered.messages === 0 && live === 0) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await Promise.race([report, new Promise((resolve) => setTimeout(resolve, 5000))]);
    consumer.child.stdin?.end();
  })();
  const result = await report;
  await drained;
  return result;
}

async function integrity(context: BenchContext): Promise<FigureOutcome> {
  const course = await openCourse(context, 'at-most-once');
  const consumer = course.startConsumer({ pauseEvery: 1000, pauseMs: 40 });
  await consumer.hear();
  const producers = course.startProducers();
  const report = await reportOrEnd(course, consumer, producers);
  const counters = await course.counters();
  await course.relay.end();
  const lost = FRAMES - report.seen.length;
  const wrong = lost + report.duplicates + report.outOfOrder + report.corrupt;
  const { duplicates, outOfOrder, corrupt } = report;
  const detail = { frames: FRAMES, lost, duplicates, outOfOrder, corrupt, dropped: counters.dropped };
  const result = { figure: 'relay-integrity', value: wrong, unit: 'frames', goal: { max: 0 }, rounds: 1, detail };
  return { kind: 'measured', result: { ...result, spread: [wrong, wrong] } };
}

async function redeliver(context: BenchContext): Promise<FigureOutcome> {
  const course = await openCourse(context, 'redeliver');
  const first = course.startConsumer({ reportEach: true });
  await first.hear();
  const producers = course.startProducers();
  const finished = new Set<string>();
  while (finished.size < FRAMES / 2) finished.add((await first.hear<{ finished: string }>()).finished);
  first.child.kill('SIGKILL');
  // What it had said before it died.
  for (;;) {
    const line = await first.hear<{ finished: string }>().catch(() => undefined);
    if (line === undefined) break;
    finished.add(line.finished);
  }
  const before = finished.size;
  const second = course.startConsumer({ messages: FRAMES });
  await second.hear();
  const report = await reportOrEnd(course, second, producers);
  for (const frame of report.seen) finished.add(frame);
  const repeated = before + report.seen.length - finished.size;
  const { redelivered, acknowledged } = await course.counters();
  await course.relay.end();
  const lost = FRAMES - finished.size;
  const wrong = lost + report.corrupt + report.duplicates;
  const detail = { frames: FRAMES, lost, redelivered, finishedTwice: repeated, acknowledged, corrupt: report.corrupt };
  const result = {
    figure: 'relay-integrity-redeliver',
    value: wrong,
    unit: 'frames',
    goal: { max: 0 },
    rounds: 1,
    detail,
  };
  return { kind: 'measured', result: { ...result, spread: [wrong, wrong] } };
}

export const figures: readonly BenchFigure[] = [
  {
    name: 'relay-integrity',
    group: 'stream',
    title: `lost + repeated + reordered + changed of ${FRAMES} frames of 64 KiB, two producers, a consumer that pauses`,
    run: integrity,
  },
  {
    name: 'relay-integrity-redeliver',
    group: 'stream',
    title: `lost of ${FRAMES} frames of 64 KiB when the consumer is killed in the middle and replaced`,
    run: redeliver,
  },
];
