/**
 * Runs one of Slurm's programs: an argv array, a closed environment, bounded output, time and number at once. Exit code and texts are given back as they are; what
 * they mean is said in failure-of.ts. Owns the waiting line.
 */
import { spawn } from 'node:child_process';
import { SlurmFailure } from '../contract/index.ts';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Absolute folder of the programs. */
  readonly binDir: string;
  readonly slurmConf: string;
}

/** `program`: a file name below binDir. `input` goes to its standard input. SlurmFailure `unavailable` where it cannot be run, says too much or takes too long. */
export type RunSlurm = (
  program: string,
  args: readonly string[],
  how?: {
    readonly input?: string;
    readonly before?: readonly string[];
    /** Besides the closed environment; unlike argv, other users cannot read it. */
    readonly env?: Readonly<Record<string, string>>;
  },
) => Promise<Ran>;

const MOST_AT_ONCE = 4;
const MOST_WAITING = 512;
const TIMEOUT_MS = 30_000;
const OUTPUT_BYTES = 256 * 1024 * 1024;

export function runCommand(options: RunOptions): RunSlurm {
  const waiting: (() => void)[] = [];
  let running = 0;
  const env = {
    PATH: '/usr/bin:/bin',
    SLURM_CONF: options.slurmConf,
    LC_ALL: 'C',
    TZ: 'UTC',
    SLURM_TIME_FORMAT: 'standard',
    // Else an array's list of tasks is cut off after 64 characters.
    SLURM_BITSTR_LEN: '0',
  };
  return async (program, args, how = {}) => {
    if (running >= MOST_AT_ONCE) {
      if (waiting.length >= MOST_WAITING) throw unavailable(`${MOST_WAITING} commands of Slurm wait already`);
      // Whoever ends hands its place over, so that nobody comes between.
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else running += 1;
    try {
      const [first = '', ...rest] = [...(how.before ?? []), `${options.binDir}/${program}`, ...args];
      return await once({ program: first, args: rest, env: { ...env, ...how.env }, input: how.input ?? '' });
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}

interface Start {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly input: string;
}

function once({ program, args, env, input }: Start): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { ...env }, cwd: '/', stdio: 'pipe' });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let bytes = 0;
    const stop = (why: string): void => {
      child.kill('SIGKILL');
      reject(unavailable(`${program} ${why}`));
    };
    const timer = setTimeout(
      stop,
      TIMEOUT_MS,
      `took more than ${TIMEOUT_MS / 1000} s; Slurm’s programs wait like that where munged does not answer: is it running on this host?`,
    );
    const collect = (into: Buffer[]) => (part: Buffer) => {
      bytes += part.length;
      if (bytes > OUTPUT_BYTES) stop(`said more than ${OUTPUT_BYTES} bytes`);
      else into.push(part);
    };
    child.stdout.on('data', collect(out));
    child.stderr.on('data', collect(err));
    child.stdin.on('error', () => undefined);
    child.once('error', (cause) => {
      clearTimeout(timer);
      reject(unavailable(`${program} cannot be run: ${cause.message}`));
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({
        code: code ?? 255,
        stdout: Buffer.concat(out).toString('utf8'),
        stderr: Buffer.concat(err).toString('utf8').slice(0, 4096),
      });
    });
    child.stdin.end(input);
  });
}

const unavailable = (message: string): SlurmFailure => new SlurmFailure({ kind: 'unavailable', message });
