// The run's files in --out, written as things happen, and the progress lines on stdout for whoever started us.
// Owns the three open .jsonl files. Progress is one JSON object a line; nothing else may go to stdout.
import { createWriteStream, type WriteStream } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Position } from '../detector/sample.ts';
import { nowMs } from '../frame-message.ts';
import type { DetectorFrame, FrameSource, TrueSpot } from '../frame-source.ts';
import type { Peak } from '../peak-finder.ts';
import type { AnsweredFrame, Ledger, SentFrame } from './ledger.ts';
import type { SteeringDecision } from './steering.ts';
import type { BeamlineSummary } from './summary.ts';

export type Recorder = {
  readonly sent: (frame: SentFrame) => void;
  readonly result: (frame: AnsweredFrame) => void;
  readonly decision: (decision: SteeringDecision) => void;
  readonly close: () => Promise<void>;
};

export type ProgressEvent =
  | {
      readonly event: 'started';
      readonly source: string;
      readonly frames: number;
      readonly skippedFiles: readonly unknown[];
    }
  | { readonly event: 'worker'; readonly worker: string; readonly state: 'hello' | 'bye' }
  | {
      readonly event: 'progress';
      readonly sent: number;
      readonly answered: number;
      readonly hits: number;
      readonly inFlight: number;
      readonly position: Position;
      /** Share of hits among the last 40 answers. */
      readonly recentHitRate: number;
      /** Answers a second over the last second or so. */
      readonly framesPerSecond: number;
    }
  | ({ readonly event: 'steered' } & SteeringDecision)
  | { readonly event: 'done'; readonly summary: Omit<BeamlineSummary, 'positions'> };

/** One frame saved for the report. Pixels are in `file`, raw and little-endian. */
export type SavedFrame = Omit<DetectorFrame, 'bytes' | 'file'> & {
  readonly file: string;
  readonly sequence: number;
  readonly position: Position;
  readonly peaks: readonly Peak[];
};

export type SavedFrames = { readonly hit: SavedFrame | null; readonly blank: SavedFrame | null };

export function emit(event: ProgressEvent): void {
  process.stdout.write(`${JSON.stringify({ ...event, atMs: nowMs() })}\n`);
}

export async function openRecorder(out: string): Promise<Recorder> {
  await mkdir(out, { recursive: true });
  const open = (file: string): WriteStream => createWriteStream(join(out, file), { flags: 'w' });
  const [sent, results, steering] = [open('sent.jsonl'), open('results.jsonl'), open('steering.jsonl')];
  const write = (stream: WriteStream, value: unknown): void => {
    stream.write(`${JSON.stringify(value)}\n`);
  };
  return {
    sent: (frame) => write(sent, frame),
    result: (frame) => write(results, frame),
    decision: (decision) => write(steering, decision),
    close: async () => {
      await Promise.all(
        [sent, results, steering].map((stream) => {
          stream.end();
          return finished(stream);
        }),
      );
    },
  };
}

/** The answered frame a judge puts highest; undefined when it puts none above 0. */
function pick(ledger: Ledger, judge: (truth: readonly TrueSpot[] | undefined, peaks: number) => number) {
  let found: { readonly frame: AnsweredFrame; readonly worth: number } | undefined;
  for (const frame of ledger.answered.values()) {
    const worth = judge(ledger.sent.get(frame.sequence)?.truth, frame.peaks.length);
    if (worth > 0 && worth > (found?.worth ?? 0)) found = { frame, worth };
  }
  return found?.frame;
}

/**
 * Saves the hit with the most peaks and, of the model, a blank, with truth and peaks: hit-frame.bin, blank-frame.bin, sample-frames.json.
 * The pixels are made again: a source gives the same bytes for the same sequence and position.
 */
export async function saveSampleFrames(out: string, source: FrameSource, ledger: Ledger): Promise<SavedFrames> {
  const save = async (answer: AnsweredFrame | undefined, file: string): Promise<SavedFrame | null> => {
    if (!answer) return null;
    const { sequence, position, peaks } = answer;
    const { bytes, file: _original, ...frame } = source.frame(sequence, position);
    await writeFile(join(out, file), bytes);
    return { ...frame, file, sequence, position, peaks };
  };
  const saved: SavedFrames = {
    hit: await save(
      pick(ledger, (truth, peaks) => (truth?.length === 0 ? 0 : peaks)),
      'hit-frame.bin',
    ),
    blank: await save(
      pick(ledger, (truth, peaks) => (truth?.length === 0 ? 1 / (1 + peaks) : 0)),
      'blank-frame.bin',
    ),
  };
  await writeFile(join(out, 'sample-frames.json'), `${JSON.stringify(saved)}\n`);
  return saved;
}
