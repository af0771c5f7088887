/** One run: consumers first, then producers by their timetables, then what is still on its way. Owns every connection it opens, and closes them. */
import { randomInt } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { openLatencies, type Quantiles } from './latencies.ts';
import { openLedger } from './ledger.ts';
import type { Load } from './load.ts';
import { messageWriter, readMessage } from './load-message.ts';
import { type LoadPath, type LoadProducer, wordsOf } from './load-path.ts';
import { sendOnTime } from './send-on-time.ts';

/** Before the first message is due. */
const HEAD_START_MS = 50;
/** What is late at the end of the run is sent this much longer. */
const GRACE_MS = 2000;
/** With nothing arriving for so long, nothing more will. */
const QUIET_MS = 2000;
const LOOK_MS = 20;

export interface LoadReport {
  readonly asked: number;
  readonly sent: number;
  readonly received: number;
  /** Sent and never received. */
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  /** Their digest is not that of what was sent. */
  readonly damaged: number;
  /** Of no run of this bench. */
  readonly foreign: number;
  /** Times that a full buffer refused a message, which was put again. */
  readonly refused: number;
  readonly messagesPerSecond: number;
  readonly bytesPerSecond: number;
  /** From when a message was due to when it, or its answer, was here; ms. */
  readonly latencyMs: Quantiles | null;
  /** How late messages left. */
  readonly lateMs: Quantiles | null;
  /** Of the producers' time, the part in which they waited for room or for confirms. */
  readonly heldUp: number;
  /** Of this program's time, the part in which it worked. */
  readonly busy: number;
}

export interface Ways {
  readonly there: LoadPath;
  /** For a round trip. */
  readonly back?: LoadPath;
}

/** Throws where a connection cannot be made or ends. */
export async function runLoad({ there, back }: Ways, load: Load): Promise<LoadReport> {
  const run = randomInt(2 ** 32);
  const [ledger, latencies, late] = [openLedger(), openLatencies(), openLatencies()];
  let [damaged, foreign, lastMs] = [0, 0, performance.now()];
  const closers: (() => Promise<void>)[] = [];
  const keep = <T extends { close(): Promise<void> }>(opened: T): T => {
    closers.push(() => opened.close());
    return opened;
  };
  const arrived = (consumer: number, octets: Buffer): void => {
    const read = readMessage(run, octets);
    const now = performance.now();
    lastMs = now;
    if (read.kind === 'damaged') damaged += 1;
    else if (read.kind === 'foreign') foreign += 1;
    else if (ledger.arrived(consumer, read.stamp.producer, read.stamp.sequence)) latencies.add(now - read.stamp.dueMs);
  };
  try {
    const echo: LoadProducer[] = [];
    let echoFault: unknown;
    for (let i = 0; i < load.consumers; i++) {
      if (back !== undefined) {
        keep(await back.consumer(i, (octets) => arrived(i, octets)));
        echo.push(keep(await back.producer(i)));
      }
      keep(
        await there.consumer(i, (octets) => {
          if (back === undefined) return arrived(i, octets);
          echo[i]?.put(Buffer.from(octets)).catch((cause: unknown) => {
            echoFault ??= cause;
          });
        }),
      );
    }
    const producers: LoadProducer[] = [];
    for (let i = 0; i < load.producers; i++) producers.push(keep(await there.producer(i)));
    const write = messageWriter(run, load.size);
    const began = performance.eventLoopUtilization();
    const fromMs = performance.now() + HEAD_START_MS;
    const everyMs = (1000 * load.producers) / load.rate;
    const count = Math.max(1, Math.floor((load.seconds * 1000) / everyMs));
    const untilMs = fromMs + load.seconds * 1000 + GRACE_MS;
    const reports = await Promise.all(
      producers.map((producer, i) =>
        sendOnTime(
          producer,
          {
            fromMs: fromMs + (i * everyMs) / load.producers,
            everyMs,
            count,
            untilMs,
            confirms: load.confirms,
            size: load.size,
          },
          { message: (sequence, dueMs) => write({ producer: i, sequence, dueMs }), late },
        ),
      ),
    );
    const sum = (of: (report: (typeof reports)[number]) => number): number => reports.reduce((n, r) => n + of(r), 0);
    const sent = sum((r) => r.sent);
    const sendingMs = performance.now() - fromMs;
    lastMs = Math.max(lastMs, performance.now());
    while (ledger.received + damaged < sent && performance.now() - lastMs < QUIET_MS) await pause(LOOK_MS);
    if (echoFault !== undefined) throw new Error(`the answers stopped: ${wordsOf(echoFault)}`);
    const seconds = Math.max(load.seconds, (lastMs - fromMs) / 1000);
    const share = (part: number): number => Math.round(part * 1000) / 1000;
    return {
      asked: count * load.producers,
      sent,
      received: ledger.received,
      lost: Math.max(0, sent - ledger.received - damaged),
      duplicated: ledger.duplicated,
      reordered: ledger.reordered,
      damaged,
      foreign,
      refused: sum((r) => r.refused),
      messagesPerSecond: share(ledger.received / seconds),
      bytesPerSecond: Math.round((ledger.received * load.size) / seconds),
      latencyMs: latencies.quantiles(),
      lateMs: late.quantiles(),
      heldUp: share(sum((r) => r.heldUpMs) / (sendingMs * load.producers)),
      busy: share(performance.eventLoopUtilization(began).utilization),
    };
  } finally {
    await Promise.allSettled(closers.reverse().map((close) => close()));
    await Promise.allSettled([there.close(), back?.close()]);
  }
}
