/**
 * One producer's open loop: when each message is due is fixed before the run; what could not be sent in time is sent late and its latency counted from when it was due, so that a
 * stream that stalls is seen to (no coordinated omission).
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { openLatencies } from './latencies.ts';
import { BATCH, type Confirms } from './load.ts';
import type { LoadProducer } from './load-path.ts';

/** Handed over and not confirmed, at most: more would measure this program's memory. */
const OUTSTANDING_MESSAGES = 1024;
const OUTSTANDING_BYTES = 67_108_864;
const AGAIN_MS = 5;

export interface Timetable {
  /** When the first message is due, in performance.now(). */
  readonly fromMs: number;
  readonly everyMs: number;
  readonly count: number;
  /** What has not left by then is not sent. */
  readonly untilMs: number;
  readonly confirms: Confirms;
  readonly size: number;
}

export interface SendReport {
  /** Distinct messages that the stream took. */
  readonly sent: number;
  /** Answers that the buffer is full; each such message was put again. */
  readonly refused: number;
  /** Waiting for room or for confirms. */
  readonly heldUpMs: number;
}

export async function sendOnTime(
  producer: LoadProducer,
  { fromMs, everyMs, count, untilMs, confirms, size }: Timetable,
  { message, late }: { readonly message: (sequence: number, dueMs: number) => Buffer; readonly late: Lateness },
): Promise<SendReport> {
  const report = { sent: 0, refused: 0, heldUpMs: 0 };
  const outstanding = new Set<Promise<void>>();
  const most = Math.max(1, Math.min(OUTSTANDING_MESSAGES, Math.floor(OUTSTANDING_BYTES / size)));
  let failure: unknown;
  const over = (): boolean => failure !== undefined || performance.now() > untilMs;
  const put = async (octets: Buffer): Promise<void> => {
    while (!(await producer.put(octets))) {
      report.refused += 1;
      await pause(AGAIN_MS);
      if (over()) return;
    }
    report.sent += 1;
  };
  const heldUp = async (until: Promise<unknown> | undefined): Promise<void> => {
    if (until === undefined) return;
    const began = performance.now();
    await Promise.race([until, pause(Math.max(1, untilMs - began), undefined, { ref: false })]);
    report.heldUpMs += performance.now() - began;
  };
  for (let sequence = 0; sequence < count && !over(); sequence++) {
    const dueMs = fromMs + sequence * everyMs;
    const early = dueMs - performance.now();
    // Timers tick in whole milliseconds and may fire before theirs is over.
    for (let rest = early; rest > 0; rest = dueMs - performance.now()) await pause(Math.ceil(rest));
    await heldUp(producer.room());
    if (over()) break;
    late.add(performance.now() - dueMs);
    const done = put(message(sequence, dueMs)).then(
      () => void outstanding.delete(done),
      (cause: unknown) => {
        outstanding.delete(done);
        failure ??= cause;
      },
    );
    outstanding.add(done);
    if (confirms === 'sync') await heldUp(done);
    else if (confirms === 'batch' && (sequence + 1) % BATCH === 0) await heldUp(Promise.all(outstanding));
    else if (outstanding.size >= most) await heldUp(Promise.race(outstanding));
    // An overdue schedule must not keep this program from reading.
    else if (early <= 0 && sequence % 16 === 0) await new Promise(setImmediate);
  }
  await heldUp(Promise.all(outstanding));
  if (failure !== undefined) throw failure;
  return report;
}

/** How late messages left, in ms: this program's own part of their latency, and that of a stream that holds it up. */
export type Lateness = Pick<ReturnType<typeof openLatencies>, 'add'>;
