// The beamline, outside the wall: detector and steering in one process, joined to the analysis by two streams.
// `node beamline.ts --streams FILE --out DIR [--frames 400] [--seed 7] [--frames-dir DIR] [--fault drop-one] [--rate HZ]`
// JSON lines on stdout (progress), human lines on stderr, files in --out. Exit 0: nothing lost, doubled or changed, and steering worked.
// The paper's LCLStream, section 2.2. Owns the process: sockets, signal, exit code.
import { writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createLedger } from './beamline/ledger.ts';
import { emit, openRecorder, saveSampleFrames } from './beamline/record.ts';
import { runBeamTime } from './beamline/run.ts';
import { createSteering } from './beamline/steering.ts';
import { type BeamlineSummary, summarize } from './beamline/summary.ts';
import { createDetectorModel } from './detector/model.ts';
import { SAMPLE_COLUMNS, SAMPLE_ROWS } from './detector/sample.ts';
import type { FrameSource } from './frame-source.ts';
import { FEWEST_REPLAYED, loadReplay, type SkippedFile } from './replay/load-frames.ts';
import { pickStream, readStreamAttachments } from './stream-attachment.ts';
import { openConsumer, openProducer } from './stream-socket.ts';

type Arguments = {
  readonly streams: string;
  readonly out: string;
  readonly frames: number;
  readonly seed: number;
  readonly framesDir: string | undefined;
  readonly dropOne: boolean;
  readonly rateHz: number | undefined;
};

class UsageError extends Error {}

function wholeNumber(text: string, name: string, least: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least)
    throw new UsageError(`--${name} must be a whole number of at least ${least}`);
  return value;
}

function readArguments(): Arguments {
  const text = (fallback?: string) => ({ type: 'string' as const, ...(fallback ? { default: fallback } : {}) });
  const { values } = parseArgs({
    options: {
      streams: text(),
      out: text(),
      frames: text('400'),
      seed: text('7'),
      'frames-dir': text(),
      fault: text(),
      rate: text(),
    },
  });
  const { streams, out, fault, rate } = values;
  if (!streams || !out) throw new UsageError('--streams FILE and --out DIR are needed');
  if (fault !== undefined && fault !== 'drop-one') throw new UsageError('--fault knows drop-one only');
  if (rate !== undefined && !(Number(rate) > 0)) throw new UsageError('--rate must be above 0');
  const framesDir = values['frames-dir'];
  const frames = wholeNumber(values.frames ?? '', 'frames', 1);
  return {
    streams,
    out,
    frames: framesDir ? Math.max(frames, FEWEST_REPLAYED) : frames,
    seed: wholeNumber(values.seed ?? '', 'seed', 0),
    framesDir,
    dropOne: fault === 'drop-one',
    rateHz: rate === undefined ? undefined : Number(rate),
  };
}

async function openSource(
  given: Arguments,
): Promise<{ readonly source: FrameSource; readonly skipped: readonly SkippedFile[] }> {
  if (!given.framesDir) return { source: createDetectorModel(given.seed), skipped: [] };
  const source = await loadReplay(given.framesDir);
  for (const { file, reason } of source.skipped) say(`skipped ${file}: ${reason}`);
  return { source, skipped: source.skipped };
}

function say(line: string): void {
  process.stderr.write(`beamline: ${line}\n`);
}

function describe(summary: BeamlineSummary): string {
  const share = (value: number | null): string => (value === null ? 'none' : `${(value * 100).toFixed(1)} %`);
  const ms = summary.latencyMs;
  return [
    `${summary.sent} frames sent, ${summary.answered} analysed, ${summary.lost.length} lost, ${summary.duplicated} duplicated`,
    `${summary.framesPerSecond.toFixed(1)} frames/s, latency p50 ${ms?.p50.toFixed(0) ?? '-'} ms, p99 ${ms?.p99.toFixed(0) ?? '-'} ms`,
    `hit rate ${share(summary.hitRateBeforeSteering)} before steering, ${share(summary.hitRateAfter)} after (${summary.steeringChanges} changes)`,
    summary.source === 'model'
      ? `recall ${share(summary.recall)}, precision ${share(summary.precision)}`
      : 'no recall claimed',
    summary.faults.length > 0 ? `FAILED: ${summary.faults.join(', ')}` : 'ok',
  ].join('; ');
}

async function main(): Promise<number> {
  const given = readArguments();
  const streams = await readStreamAttachments(given.streams);
  const abort = new AbortController();
  process.on('SIGTERM', () => abort.abort());
  process.on('SIGINT', () => abort.abort());
  const { source, skipped } = await openSource(given);
  const recorder = await openRecorder(given.out);
  const results = openConsumer(pickStream(streams, 'results', 'consumer'));
  const frames = openProducer(pickStream(streams, 'frames', 'producer'));
  const steered = source.name === 'model';
  const steering = createSteering({ rows: SAMPLE_ROWS, columns: SAMPLE_COLUMNS, frames: given.frames, steered });
  const ledger = createLedger();
  emit({ event: 'started', source: source.name, frames: given.frames, skippedFiles: skipped });
  const outcome = await runBeamTime(
    { source, steering, ledger, recorder, frames, results },
    {
      frames: given.frames,
      producer: `${hostname()}-${process.pid}`,
      rateHz: given.rateHz,
      dropSequence: given.dropOne ? Math.floor(given.frames / 2) : undefined,
      signal: abort.signal,
    },
  );
  // Frames still queued after a signal are wanted by nobody.
  frames.close(abort.signal.aborted ? 0 : undefined);
  results.close();
  await recorder.close();
  await saveSampleFrames(given.out, source, ledger);
  const summary = summarize({
    source: source.name,
    ledger,
    positions: steering.counts().filter((position) => position.shots > 0),
    skippedFiles: skipped,
    ...outcome,
  });
  await writeFile(join(given.out, 'beamline.json'), `${JSON.stringify(summary, null, 2)}\n`);
  const { positions: _positions, ...done } = summary;
  emit({ event: 'done', summary: done });
  say(describe(summary));
  if (abort.signal.aborted) return 143;
  return summary.faults.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = error instanceof UsageError || (error instanceof TypeError && 'code' in error) ? 2 : 1;
}
