// Boils a run down to beamline.json: what was lost, how fast it was, whether steering helped, how well peaks were found.
// Owns no state. Latency is from handing a frame to the socket until its result was in the beamline's hands: there, analysis and back.
import type { SkippedFile } from '../replay/load-frames.ts';
import { addScore, NO_SCORE, precisionOf, recallOf } from '../score.ts';
import type { AnsweredFrame, Ledger } from './ledger.ts';
import type { PositionCount, SteeringDecision } from './steering.ts';

export type BeamlineSummary = {
  readonly source: 'model' | 'replay';
  readonly sent: number;
  readonly answered: number;
  /** Sequence numbers without an answer. */
  readonly lost: readonly number[];
  readonly duplicated: number;
  readonly unexpected: number;
  /** Every answered frame was, by its digest, the frame that was sent. */
  readonly digestsEqual: boolean;
  readonly hits: number;
  /** Share of hits among the answered frames sent before and after the first steering decision; null without such frames. */
  readonly hitRateBeforeSteering: number | null;
  readonly hitRateAfter: number | null;
  readonly steeringChanges: number;
  /** Frames sent to a place that a steering decision chose. */
  readonly framesSteered: number;
  /** Against the model's known spots; null on replayed frames. */
  readonly recall: number | null;
  readonly precision: number | null;
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number } | null;
  readonly framesPerSecond: number;
  /** Pixel bytes, 10^6 a second. */
  readonly megabytesPerSecond: number;
  readonly durationMs: number;
  readonly workers: readonly string[];
  readonly workersWithoutBye: readonly string[];
  readonly skippedFiles: readonly SkippedFile[];
  readonly positions: readonly PositionCount[];
  /** Why the run is not a success; empty when it is. */
  readonly faults: readonly string[];
};

export type RunRecord = {
  readonly source: 'model' | 'replay';
  readonly ledger: Ledger;
  readonly decisions: readonly SteeringDecision[];
  readonly positions: readonly PositionCount[];
  readonly skippedFiles: readonly SkippedFile[];
  readonly workers: readonly string[];
  readonly workersWithoutBye: readonly string[];
  /** What kept the run from sending all its frames, if anything did. */
  readonly stoppedBy?: string | undefined;
};

/** The value below which a share of the sorted values lies (nearest rank). */
export function quantile(sorted: readonly number[], share: number): number {
  const rank = Math.max(0, Math.ceil(share * sorted.length) - 1);
  return sorted[rank] ?? 0;
}

function hitRate(frames: readonly AnsweredFrame[]): number | null {
  return frames.length === 0 ? null : frames.filter((frame) => frame.hit).length / frames.length;
}

function latency(frames: readonly AnsweredFrame[]): BeamlineSummary['latencyMs'] {
  if (frames.length === 0) return null;
  const sorted = frames.map((frame) => frame.answeredAtMs - frame.sentAtMs).sort((left, right) => left - right);
  return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), max: quantile(sorted, 1) };
}

function score(record: RunRecord, frames: readonly AnsweredFrame[]) {
  if (record.source === 'replay') return { recall: null, precision: null };
  const total = frames.reduce(
    (sum, frame) => addScore(sum, record.ledger.sent.get(frame.sequence)?.truth ?? [], frame.peaks),
    NO_SCORE,
  );
  return { recall: recallOf(total), precision: precisionOf(total) };
}

function listFaults(record: RunRecord, facts: { readonly digestsEqual: boolean; readonly framesSteered: number }) {
  const lost = record.ledger.lost().length;
  const faults: string[] = [];
  if (record.stoppedBy) faults.push(record.stoppedBy);
  if (lost > 0) faults.push(`${lost} lost`);
  if (record.ledger.duplicated() > 0) faults.push(`${record.ledger.duplicated()} duplicated`);
  if (record.ledger.unexpected() > 0) faults.push(`${record.ledger.unexpected()} results for frames never sent`);
  if (!facts.digestsEqual) faults.push('digests differ');
  if (record.source === 'model' && facts.framesSteered === 0) faults.push('steering changed no frame');
  return faults;
}

export function summarize(record: RunRecord): BeamlineSummary {
  const { ledger, decisions } = record;
  const frames = [...ledger.answered.values()];
  const sent = [...ledger.sent.values()];
  const firstSteered = decisions[0]?.atSequence ?? Number.POSITIVE_INFINITY;
  const digestsEqual = frames.every((frame) => ledger.sent.get(frame.sequence)?.digest === frame.digest);
  const framesSteered = sent.filter((frame) => frame.sequence >= firstSteered).length;
  const startMs = Math.min(...sent.map((frame) => frame.sentAtMs));
  const endMs = Math.max(...frames.map((frame) => frame.answeredAtMs));
  const durationMs = frames.length === 0 ? 0 : endMs - startMs;
  const bytes = frames.reduce((sum, frame) => sum + (ledger.sent.get(frame.sequence)?.bytes ?? 0), 0);
  return {
    source: record.source,
    sent: sent.length,
    answered: frames.length,
    lost: ledger.lost(),
    duplicated: ledger.duplicated(),
    unexpected: ledger.unexpected(),
    digestsEqual,
    hits: ledger.hits(),
    hitRateBeforeSteering: hitRate(frames.filter((frame) => frame.sequence < firstSteered)),
    hitRateAfter: hitRate(frames.filter((frame) => frame.sequence >= firstSteered)),
    steeringChanges: decisions.length,
    framesSteered,
    ...score(record, frames),
    latencyMs: latency(frames),
    framesPerSecond: durationMs > 0 ? (frames.length * 1000) / durationMs : 0,
    megabytesPerSecond: durationMs > 0 ? bytes / 1000 / durationMs : 0,
    durationMs,
    workers: record.workers,
    workersWithoutBye: record.workersWithoutBye,
    skippedFiles: record.skippedFiles,
    positions: record.positions,
    faults: listFaults(record, { digestsEqual, framesSteered }),
  };
}
