// One beam time: sends frames while results come in, steers on them, then ends the workers one by one.
// Owns the run's clockwork (window, pace, deadlines) and nothing of what it uses. Times are wall-clock milliseconds.
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { type FrameHeader, nowMs, parseResultMessage, type Result } from '../frame-message.ts';
import type { DetectorFrame, FrameSource } from '../frame-source.ts';
import type { Consumer, Producer } from '../stream-socket.ts';
import type { Ledger } from './ledger.ts';
import { emit, type Recorder } from './record.ts';
import type { Steering, SteeringDecision } from './steering.ts';

export type RunOptions = {
  readonly frames: number;
  readonly producer: string;
  /** Frames a second; undefined: as fast as they are answered. */
  readonly rateHz: number | undefined;
  /** This frame is recorded as sent but not sent, to prove that a loss is seen. */
  readonly dropSequence: number | undefined;
  readonly signal: AbortSignal;
};

export type RunParts = {
  readonly source: FrameSource;
  readonly steering: Steering;
  readonly ledger: Ledger;
  readonly recorder: Recorder;
  readonly frames: Producer;
  readonly results: Consumer;
};

export type RunOutcome = {
  readonly decisions: readonly SteeringDecision[];
  readonly workers: readonly string[];
  readonly workersWithoutBye: readonly string[];
  readonly stoppedBy: string | undefined;
};

/** Unanswered frames at any time: few enough that a steering decision shows at once, enough to keep the workers busy. */
export const WINDOW = 24;
/** Large frames fill the window sooner, or the buffers between here and the workers would hold gigabytes; some always go. */
const WINDOW_BYTES = 96 * 1024 * 1024;
const FEWEST_IN_WINDOW = 4;
/** Waiting for the first worker, for any result while frames are still to be sent, and after the last frame, ms. */
const START_LIMIT_MS = 300_000;
const STALL_LIMIT_MS = 60_000;
const IDLE_LIMIT_MS = 5_000;
const BYE_LIMIT_MS = 5_000;
const PROGRESS_EVERY_MS = 200;
const RECENT = 40;

type Heard = {
  readonly hello: Set<string>;
  readonly bye: Set<string>;
  /** 1 = hit, 0 = blank, newest last. */
  readonly recent: number[];
  lastAtMs: number;
};

type Wake = { readonly wait: (limitMs: number) => Promise<void>; readonly ring: () => void };

/** Lets the sender sleep until something was heard, or a limit passed. */
function createWake(): Wake {
  let waiting: (() => void) | undefined;
  return {
    ring: () => waiting?.(),
    wait: async (limitMs) => {
      const timer = new AbortController();
      const rung = new Promise<void>((resolve) => {
        waiting = resolve;
      });
      await Promise.race([rung, sleep(limitMs, undefined, { signal: timer.signal }).catch(() => {})]);
      timer.abort();
    },
  };
}

function headerOf(frame: DetectorFrame, fields: Pick<FrameHeader, 'sequence' | 'producer' | 'position'>): FrameHeader {
  const { shape, dtype, beamCentre, saturation } = frame;
  return {
    kind: 'frame',
    ...fields,
    shape,
    dtype,
    sentAtMs: nowMs(),
    ...(beamCentre ? { beamCentre } : {}),
    ...(saturation ? { saturation } : {}),
  };
}

/** Waits until a message is queued; false when there was no room for too long (nobody takes frames) or a signal came. */
async function sendWithin(sending: Promise<void>, limitMs: number, signal?: AbortSignal): Promise<boolean> {
  const timer = new AbortController();
  const limits = signal ? [timer.signal, signal] : [timer.signal];
  const late = sleep(limitMs, undefined, { signal: AbortSignal.any(limits) }).catch(() => {});
  // A send given up here fails when its socket is closed; that is no news then.
  const sent = await Promise.race([sending.then(() => true), late.then(() => false)]);
  sending.catch(() => {});
  timer.abort();
  return sent;
}

type SendOutcome = { readonly decision: SteeringDecision | undefined; readonly isSent: boolean };

async function sendFrame(parts: RunParts, options: RunOptions, sequence: number): Promise<SendOutcome> {
  const { position, decision } = parts.steering.next(sequence);
  if (decision) {
    parts.recorder.decision(decision);
    emit({ event: 'steered', ...decision });
  }
  const frame = parts.source.frame(sequence, position);
  const digest = createHash('sha256').update(frame.bytes).digest('hex');
  const header = headerOf(frame, { sequence, producer: options.producer, position });
  const sent = {
    sequence,
    digest,
    bytes: frame.bytes.byteLength,
    position,
    sentAtMs: header.sentAtMs,
    ...(frame.truth ? { truth: frame.truth } : {}),
    ...(frame.file ? { file: frame.file } : {}),
  };
  parts.ledger.recordSent(sent);
  parts.recorder.sent(sent);
  if (sequence === options.dropSequence) return { decision, isSent: true };
  const sending = parts.frames.send([JSON.stringify(header), frame.bytes]);
  return { decision, isSent: await sendWithin(sending, STALL_LIMIT_MS, options.signal) };
}

function takeResult(parts: RunParts, heard: Heard, result: Result): void {
  const answered = { ...result, answeredAtMs: nowMs() };
  parts.recorder.result(answered);
  if (!parts.ledger.recordResult(answered)) return;
  parts.steering.learn(result.position, result.hit);
  heard.recent.push(result.hit ? 1 : 0);
  if (heard.recent.length > RECENT) heard.recent.shift();
}

async function listen(parts: RunParts, heard: Heard, wake: Wake): Promise<void> {
  for (;;) {
    const delivered = await parts.results.receive();
    if (!delivered) return;
    try {
      const message = parseResultMessage(delivered.parts[0]);
      heard.lastAtMs = nowMs();
      if (message.kind === 'result') takeResult(parts, heard, message);
      else {
        heard[message.kind].add(message.worker);
        emit({ event: 'worker', worker: message.worker, state: message.kind });
      }
    } catch (error) {
      process.stderr.write(`beamline: result left out: ${error instanceof Error ? error.message : error}\n`);
    }
    await delivered.finish();
    wake.ring();
  }
}

function windowFor(frameBytes: number): number {
  return Math.max(FEWEST_IN_WINDOW, Math.min(WINDOW, Math.floor(WINDOW_BYTES / Math.max(1, frameBytes))));
}

function missing(heard: Heard): readonly string[] {
  return [...heard.hello].filter((worker) => !heard.bye.has(worker));
}

/** Waits until `isDone`, listening; says why it stopped otherwise: the signal, or silence longer than the limit. */
async function waitUntil(
  isDone: () => boolean,
  watch: { readonly heard: Heard; readonly wake: Wake; readonly signal: AbortSignal },
  silence: { readonly limitMs: number; readonly since: number; readonly says: string },
): Promise<string | undefined> {
  while (!isDone()) {
    if (watch.signal.aborted) return 'stopped by a signal';
    const quietMs = nowMs() - Math.max(watch.heard.lastAtMs, silence.since);
    if (quietMs > silence.limitMs) return silence.says;
    await watch.wake.wait(Math.min(PROGRESS_EVERY_MS, silence.limitMs - quietMs + 1));
  }
  return undefined;
}

function startProgress(parts: RunParts, heard: Heard): () => void {
  let last = { atMs: nowMs(), answered: 0 };
  const report = (): void => {
    const { sent, answered, hits, inFlight } = parts.ledger;
    const newest = [...sent.values()].at(-1);
    if (!newest) return;
    const now = { atMs: nowMs(), answered: answered.size };
    const framesPerSecond = ((now.answered - last.answered) * 1000) / Math.max(1, now.atMs - last.atMs);
    if (now.atMs - last.atMs >= 1000) last = now;
    const recentHitRate = heard.recent.reduce((sum, each) => sum + each, 0) / Math.max(1, heard.recent.length);
    emit({
      event: 'progress',
      sent: sent.size,
      answered: answered.size,
      hits: hits(),
      inFlight: inFlight(),
      position: newest.position,
      recentHitRate,
      framesPerSecond,
    });
  };
  const timer = setInterval(report, PROGRESS_EVERY_MS);
  return () => {
    clearInterval(timer);
    report();
  };
}

/** Ends the workers one at a time: each end message is taken by one of them, which says bye. */
async function endWorkers(
  parts: RunParts,
  options: RunOptions,
  watch: { readonly heard: Heard; readonly wake: Wake },
): Promise<void> {
  const { heard } = watch;
  while (missing(heard).length > 0) {
    const [before, since] = [heard.bye.size, nowMs()];
    const end = { kind: 'end', sequence: options.frames + before, producer: options.producer, sentAtMs: since };
    if (!(await sendWithin(parts.frames.send([JSON.stringify(end)]), BYE_LIMIT_MS))) return;
    // A signal must not keep the workers from being told; a silent worker is given up after the limit.
    const quiet = { ...watch, signal: new AbortController().signal };
    const gaveUp = await waitUntil(() => heard.bye.size > before, quiet, {
      limitMs: BYE_LIMIT_MS,
      since,
      says: 'no bye',
    });
    if (gaveUp) return;
  }
}

/** Runs until every frame is answered or given up and the workers have ended. Does not close the sockets. */
export async function runBeamTime(parts: RunParts, options: RunOptions): Promise<RunOutcome> {
  const heard: Heard = { hello: new Set(), bye: new Set(), recent: [], lastAtMs: 0 };
  const wake = createWake();
  const watch = { heard, wake, signal: options.signal };
  const decisions: SteeringDecision[] = [];
  const { ledger } = parts;
  // Ends when the socket is closed, after the run.
  void listen(parts, heard, wake).catch((error: unknown) => {
    process.stderr.write(`beamline: results stream failed: ${error instanceof Error ? error.message : error}\n`);
  });
  const start = { limitMs: START_LIMIT_MS, since: nowMs(), says: 'no worker came' };
  let stoppedBy = await waitUntil(() => heard.hello.size > 0, watch, start);
  const stopProgress = startProgress(parts, heard);
  const startedAtMs = nowMs();
  let frameBytes = 0;
  for (let sequence = 0; sequence < options.frames && !stoppedBy; sequence += 1) {
    const stall = { limitMs: STALL_LIMIT_MS, since: nowMs(), says: `no result for ${STALL_LIMIT_MS / 1000} s` };
    stoppedBy = await waitUntil(() => ledger.inFlight() < windowFor(frameBytes), watch, stall);
    if (stoppedBy || options.signal.aborted) break;
    if (options.rateHz) await sleep(Math.max(0, startedAtMs + (sequence * 1000) / options.rateHz - nowMs()));
    const { decision, isSent } = await sendFrame(parts, options, sequence);
    if (decision) decisions.push(decision);
    if (!isSent) stoppedBy = `no room in the frames stream for ${STALL_LIMIT_MS / 1000} s`;
    frameBytes = ledger.sent.get(sequence)?.bytes ?? 0;
    // Results that have arrived are taken before the next decision.
    await nextTurn();
  }
  if (options.signal.aborted) stoppedBy = 'stopped by a signal';
  if (!stoppedBy) {
    const idle = { limitMs: IDLE_LIMIT_MS, since: nowMs(), says: 'idle' };
    const gaveUp = await waitUntil(() => ledger.inFlight() === 0, watch, idle);
    if (gaveUp && gaveUp !== idle.says) stoppedBy = gaveUp;
  }
  await endWorkers(parts, options, watch);
  stopProgress();
  return { decisions, workers: [...heard.hello], workersWithoutBye: missing(heard), stoppedBy };
}
