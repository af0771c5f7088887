// Runs beamline.ts, outside the wall, and tells what it says while it runs. Owns that process.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const BEAMLINE = fileURLToPath(new URL('../beamline.ts', import.meta.url));

/** One line of the beamline's progress. */
export type BeamlineEvent = {
  readonly event: string;
  readonly sent?: number;
  readonly answered?: number;
  readonly hits?: number;
  readonly reason?: string;
  readonly atSequence?: number;
};

export type BeamTime = {
  readonly process: ChildProcess;
  /** Exit code, after its last line was heard. */
  readonly ended: Promise<number>;
};

export type BeamTimeOptions = {
  readonly streams: string;
  readonly out: string;
  readonly frames: number;
  readonly framesDir: string | undefined;
  readonly fault: string | undefined;
  readonly log: string;
};

export function startBeamTime(options: BeamTimeOptions, hear: (event: BeamlineEvent) => void): BeamTime {
  const log = openSync(options.log, 'a');
  const args = ['--streams', options.streams, '--out', options.out, '--frames', String(options.frames)];
  if (options.framesDir) args.push('--frames-dir', options.framesDir);
  if (options.fault) args.push('--fault', options.fault);
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', BEAMLINE, ...args], {
    stdio: ['ignore', 'pipe', log],
  });
  closeSync(log);
  if (!child.stdout) throw new Error('no output to read');
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => hear(JSON.parse(line) as BeamlineEvent));
  const ended = Promise.all([once(child, 'exit'), once(lines, 'close')]).then(([[code]]) =>
    typeof code === 'number' ? code : 1,
  );
  return { process: child, ended };
}
