/** Runs one of Slurm's programs: argv only, a closed environment, bounded time and output. Its exit code is handed back and proves nothing. Owns the child while it runs. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { SlurmFailure } from '../contract/index.ts';
import type { PolicySettings } from './policy-settings.ts';

export interface RunResult {
  /** Null where it was ended for taking too long. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export type SlurmProgram = 'sacctmgr' | 'scontrol' | 'squeue';

const LONGEST_OUTPUT_BYTES = 16 * 1024 * 1024;
const LONGEST_RUN_MS = 8000;
/** Where slurmctld does not listen, its clients try for 9 to 18 s (22.05.8). */
const LONGEST_ASK_MS = 15_000;

/** Throws `unavailable` where the program cannot be started or says more than 16 MiB. */
export function runSlurm(
  settings: PolicySettings,
  program: SlurmProgram,
  how: { readonly args: readonly string[]; readonly input?: string },
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(settings.binDir, program), how.args, {
      cwd: '/',
      env: {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        SLURM_CONF: settings.slurmConf,
        LC_ALL: 'C',
        TZ: 'UTC',
        SLURM_TIME_FORMAT: '%s',
      },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: program === 'sacctmgr' ? LONGEST_RUN_MS : LONGEST_ASK_MS,
      killSignal: 'SIGKILL',
    });
    const parts = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
    let bytes = 0;
    let tooLong = false;
    for (const stream of ['stdout', 'stderr'] as const)
      child[stream].on('data', (part: Buffer) => {
        bytes += part.length;
        if (bytes <= LONGEST_OUTPUT_BYTES) parts[stream].push(part);
        else if (!tooLong) {
          tooLong = true;
          child.kill('SIGKILL');
        }
      });
    child.stdin.on('error', () => undefined);
    child.stdin.end(how.input ?? '');
    child.on('error', (cause) =>
      reject(new SlurmFailure({ kind: 'unavailable', message: `${program} cannot be started` }, { cause })),
    );
    child.on('close', (code) => {
      if (tooLong) return reject(new SlurmFailure({ kind: 'unavailable', message: `${program} said too much` }));
      resolve({
        code,
        stdout: Buffer.concat(parts.stdout).toString('utf8'),
        stderr: Buffer.concat(parts.stderr).toString('utf8'),
      });
    });
  });
}

/** The part of what a program complained that a person can use: one line, at most 300 characters. */
export function complaint({ code, stderr, stdout }: RunResult): string {
  const text = (stderr.trim() === '' ? stdout : stderr)
    .replaceAll(/[^\x20-\x7e\n]/g, '')
    .split('\n')
    .map((line) => line.replace(/^\w+: (?:error: )?/, '').trim())
    .filter((line) => line !== '')
    .join('; ');
  return text === ''
    ? `no answer (${code === null ? 'ended for taking too long' : `exit code ${code}`})`
    : text.slice(0, 300);
}
