// One analysis worker: takes frames from the stream, finds peaks, sends a result for each. Started by analyse.ts, one process each.
// Owns its two sockets. Ends with 0 when an end message or SIGTERM came; the frame in work is always finished first.
// process.env is read here because this file is a program's entry.
import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  type FrameHeader,
  type FrameMessage,
  nowMs,
  parseFrameMessage,
  type Result,
  type ResultMessage,
  viewPixels,
} from './frame-message.ts';
import { createPeakFinder, DEFAULT_THRESHOLD, type Peak } from './peak-finder.ts';
import { pickStream, readStreamAttachments } from './stream-attachment.ts';
import { type Consumer, openConsumer, openProducer, type Producer } from './stream-socket.ts';

/** Peaks that make a frame a hit: blanks of the model show 0, rarely 1, its crystals at least 20. */
const FEWEST_PEAKS_OF_A_HIT = 10;

/** An orphan whose frame does not finish in this time ends anyway, ms. */
const ORPHAN_GRACE_MS = 2_000;

type Ends = { readonly frames: Consumer; readonly results: Producer; readonly worker: string };

function rounded(peak: Peak): Peak {
  return [Math.round(peak[0] * 100) / 100, Math.round(peak[1] * 100) / 100, Math.round(peak[2] * 100) / 100];
}

async function tell(ends: Ends, message: ResultMessage): Promise<void> {
  await ends.results.send([JSON.stringify(message)]);
}

type Analysis = (header: FrameHeader, bytes: Uint8Array, receivedAtMs: number) => Result;

function createAnalysis(threshold: number, worker: string): Analysis {
  const findPeaks = createPeakFinder(threshold);
  return (header, bytes, receivedAtMs) => {
    const digest = createHash('sha256').update(bytes).digest('hex');
    const { shape, beamCentre, saturation, sequence, position, sentAtMs } = header;
    const peaks = findPeaks({ pixels: viewPixels(bytes, header.dtype), shape, beamCentre, saturation }).map(rounded);
    const hit = peaks.length >= FEWEST_PEAKS_OF_A_HIT;
    return {
      kind: 'result',
      sequence,
      digest,
      worker,
      peaks,
      hit,
      position,
      sentAtMs,
      receivedAtMs,
      doneAtMs: nowMs(),
    };
  };
}

type Stop = {
  readonly isAsked: () => boolean;
  readonly ask: () => void;
  readonly orNull: <T>(wait: Promise<T>) => Promise<T | null>;
};

/**
 * Ends the wait for a next frame at once; a frame in work is finished first, so that its result and its delivery tag both leave.
 * One promise a wait, not a race with a lasting one: that would keep every frame ever waited for in memory.
 */
function createStop(): Stop {
  let isAsked = false;
  let wake: (() => void) | undefined;
  return {
    isAsked: () => isAsked,
    ask: () => {
      isAsked = true;
      wake?.();
    },
    orNull: (wait) =>
      new Promise((resolve, reject) => {
        wake = () => resolve(null);
        wait.then(resolve, reject);
      }),
  };
}

async function work(ends: Ends, analyse: Analysis, stop: Stop): Promise<void> {
  while (!stop.isAsked()) {
    const delivered = await stop.orNull(ends.frames.receive());
    if (!delivered) return;
    const receivedAtMs = nowMs();
    const message = readMessage(delivered.parts);
    if (message?.kind === 'end') return delivered.finish();
    if (message) await tell(ends, analyse(message.header, message.bytes, receivedAtMs));
    await delivered.finish();
    // While messages are always there, ZeroMQ.js answers without a turn of the event loop, and signals would wait for ever.
    await nextTurn();
  }
}

/** null for a message that is none of ours: it is finished all the same, else it would come back for ever. */
function readMessage(parts: readonly Buffer[]): FrameMessage | null {
  try {
    return parseFrameMessage(parts);
  } catch (error) {
    process.stderr.write(
      `worker ${process.pid}: message left out: ${error instanceof Error ? error.message : error}\n`,
    );
    return null;
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { threshold: { type: 'string' } } });
  const path = process.env['BEAMWAY_STREAMS'];
  if (!path) throw new Error('BEAMWAY_STREAMS is not set: it holds the path of the stream attachment file');
  const streams = await readStreamAttachments(path);
  const ends: Ends = {
    frames: openConsumer(pickStream(streams, 'frames', 'consumer')),
    results: openProducer(pickStream(streams, 'results', 'producer')),
    worker: `${hostname()}-${process.pid}`,
  };
  const stop = createStop();
  process.on('SIGTERM', stop.ask);
  // SIGINT at a terminal goes to the whole group; analyse.ts decides and sends SIGTERM.
  process.on('SIGINT', () => {});
  // The channel closes when analyse.ts dies, whatever the way; it may have died before we got here.
  const endOrphan = (): void => {
    stop.ask();
    setTimeout(() => process.exit(1), ORPHAN_GRACE_MS).unref();
  };
  process.on('disconnect', endOrphan);
  if (process.send !== undefined && !process.connected) endOrphan();
  await tell(ends, { kind: 'hello', worker: ends.worker });
  const threshold = values.threshold === undefined ? DEFAULT_THRESHOLD : Number(values.threshold);
  await work(ends, createAnalysis(threshold, ends.worker), stop);
  await tell(ends, { kind: 'bye', worker: ends.worker });
  ends.frames.close();
  ends.results.close();
  process.removeAllListeners('disconnect');
  if (process.connected) process.disconnect();
}

await main();
