// Starts, kills and stops the Beamway under demonstration, through its launcher only, as an operator would.
// Owns the process of `beamway up`.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const LAUNCHER = fileURLToPath(new URL('../../../beamway', import.meta.url));

export type ReadyLine = {
  readonly url: string;
  readonly pid: number;
  readonly adminToken: string;
  readonly nodes: readonly { readonly name: string; readonly pid: number }[];
  /** With --with slurm: where each project's user may keep files. */
  readonly slurm?: { readonly conf: string; readonly roots: Readonly<Record<string, string>> };
};

export type System = {
  readonly ready: ReadyLine;
  /** SIGKILL: nothing is told, nothing is tidied. */
  kill(): Promise<void>;
  /** SIGTERM, and waits for the end. Gives the exit code. */
  stop(): Promise<number | null>;
};

/** Rejects with the end of the log when it does not become ready. */
export async function startSystem(
  stateDir: string,
  logFile: string,
  { environment, slurm }: { readonly environment: NodeJS.ProcessEnv; readonly slurm: boolean },
): Promise<System> {
  const log = openSync(logFile, 'a');
  const child = spawn(
    LAUNCHER,
    ['up', '--state', stateDir, '--listen', '127.0.0.1:0', '--dev', ...(slurm ? ['--with', 'slurm'] : [])],
    {
      stdio: ['ignore', 'pipe', log],
      env: environment,
    },
  );
  closeSync(log);
  const ended = once(child, 'exit');
  const ready = await Promise.race([
    firstLine(child),
    ended.then(() => {
      throw new Error(`beamway up ended before it was ready; see ${logFile}`);
    }),
  ]);
  return {
    ready,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      await ended;
      return child.exitCode;
    },
  };
}

async function firstLine(child: ChildProcess): Promise<ReadyLine> {
  if (!child.stdout) throw new Error('no output to read');
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) return JSON.parse(line) as ReadyLine;
  throw new Error('beamway up closed its output before it was ready');
}
