// Reads the folder beamline.ts wrote (--out) into the report's parts about frames, answers, steering and sample. Owns no state.
// The files are our own, of the same run, so their shapes are trusted; a missing file is an error.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AnsweredFrame } from '../beamline/ledger.ts';
import type { SavedFrame, SavedFrames } from '../beamline/record.ts';
import type { SteeringDecision } from '../beamline/steering.ts';
import type { BeamlineSummary } from '../beamline/summary.ts';
import { SAMPLE_COLUMNS, SAMPLE_ROWS } from '../detector/sample.ts';
import type { ReportFrame, ReportInput } from './report-input.ts';

export type BeamlineOutput = Pick<ReportInput, 'hitFrame' | 'blankFrame' | 'answered' | 'steering' | 'sample'> & {
  readonly beamline: BeamlineSummary;
};

async function readLines<T>(path: string): Promise<readonly T[]> {
  const text = await readFile(path, 'utf8');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T);
}

async function readFrame(out: string, saved: SavedFrame | null): Promise<ReportFrame | null> {
  if (!saved) return null;
  const { file, ...frame } = saved;
  return { ...frame, bytes: await readFile(join(out, file)) };
}

export async function readBeamlineOutput(out: string): Promise<BeamlineOutput> {
  const beamline = JSON.parse(await readFile(join(out, 'beamline.json'), 'utf8')) as BeamlineSummary;
  const saved = JSON.parse(await readFile(join(out, 'sample-frames.json'), 'utf8')) as SavedFrames;
  const answered = await readLines<AnsweredFrame>(join(out, 'results.jsonl'));
  return {
    beamline,
    hitFrame: await readFrame(out, saved.hit),
    blankFrame: await readFrame(out, saved.blank),
    answered: answered.map(({ sequence, sentAtMs, answeredAtMs, hit }) => ({ sequence, sentAtMs, answeredAtMs, hit })),
    steering: await readLines<SteeringDecision>(join(out, 'steering.jsonl')),
    sample: { rows: SAMPLE_ROWS, columns: SAMPLE_COLUMNS, positions: beamline.positions },
  };
}
