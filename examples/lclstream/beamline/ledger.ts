// What was sent and what came back: the beamline's own account, from which loss, duplication and corruption are told.
// Owns one entry a frame, in memory; the same facts go to sent.jsonl and results.jsonl as they happen.
import type { Position } from '../detector/sample.ts';
import type { Result } from '../frame-message.ts';
import type { TrueSpot } from '../frame-source.ts';

export type SentFrame = {
  readonly sequence: number;
  /** SHA-256 of the pixel bytes, hex. */
  readonly digest: string;
  readonly bytes: number;
  readonly position: Position;
  readonly sentAtMs: number;
  readonly truth?: readonly TrueSpot[];
  readonly file?: string;
};

/** A result with the time it reached the beamline. */
export type AnsweredFrame = Result & { readonly answeredAtMs: number };

export type Ledger = {
  readonly sent: ReadonlyMap<number, SentFrame>;
  readonly answered: ReadonlyMap<number, AnsweredFrame>;
  /** Results for a frame already answered. */
  readonly duplicated: () => number;
  /** Results for a frame never sent. */
  readonly unexpected: () => number;
  readonly hits: () => number;
  readonly inFlight: () => number;
  readonly lost: () => readonly number[];
  readonly recordSent: (frame: SentFrame) => void;
  /** Says whether this was the first answer to a frame we sent. */
  readonly recordResult: (result: AnsweredFrame) => boolean;
};

export function createLedger(): Ledger {
  const sent = new Map<number, SentFrame>();
  const answered = new Map<number, AnsweredFrame>();
  let [duplicated, unexpected, hits] = [0, 0, 0];
  return {
    sent,
    answered,
    duplicated: () => duplicated,
    unexpected: () => unexpected,
    hits: () => hits,
    inFlight: () => sent.size - answered.size,
    lost: () => [...sent.keys()].filter((sequence) => !answered.has(sequence)),
    recordSent: (frame) => {
      sent.set(frame.sequence, frame);
    },
    recordResult: (result) => {
      if (!sent.has(result.sequence)) {
        unexpected += 1;
        return false;
      }
      if (answered.has(result.sequence)) {
        duplicated += 1;
        return false;
      }
      answered.set(result.sequence, result);
      if (result.hit) hits += 1;
      return true;
    },
  };
}
