/**
 * Runner processes started ahead of need: Node takes tens of milliseconds to start, and an urgent job must not wait for
 * that. A spare waits on its stdin for an attempt's folder; if this process dies, the closed pipe ends the spares and
 * leaves the busy ones alone. Owns the spare processes, not the busy ones.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../../clock.ts';
import type { LocalLog } from './local-cluster.ts';

const RUNNER = fileURLToPath(new URL('./job-runner.ts', import.meta.url));

const REFILL_AFTER_MS = 100;

export interface RunnerPool {
  /** Hands an attempt's folder to a runner. `onGone` is called once, when that process is gone or could not be started. */
  run(folder: string, onGone: () => void): void;
  /** Resolves when the spares are gone; busy runners go on. */
  close(): Promise<void>;
}

export interface RunnerPoolOptions {
  /** Compiled runner code and the runners' own messages are kept here. */
  readonly stateDir: string;
  readonly spares: number;
  readonly log: LocalLog;
  readonly clock: Clock;
}

export function openRunnerPool({ stateDir, spares, log, clock }: RunnerPoolOptions): RunnerPool {
  const idle = new Set<ChildProcess>();
  let open = true;
  let cancelRefill: (() => void) | undefined;

  const start = (): ChildProcess => {
    const messages = openSync(`${stateDir}/runners.log`, 'a', 0o600);
    try {
      // An empty environment: nothing of the control plane's reaches a job. The compile cache saves two thirds of the start.
      const runner = spawn(process.execPath, ['--max-old-space-size=64', '--max-semi-space-size=1', RUNNER], {
        cwd: '/',
        env: { NODE_COMPILE_CACHE: `${stateDir}/runner-cache` },
        detached: true,
        stdio: ['pipe', 'ignore', messages],
      });
      runner.unref();
      runner.stdin?.on('error', () => {}); // it died; `exit` says so
      if (runner.stdin !== null && 'unref' in runner.stdin && typeof runner.stdin.unref === 'function')
        runner.stdin.unref();
      runner.once('exit', () => idle.delete(runner));
      runner.once('error', () => idle.delete(runner));
      return runner;
    } finally {
      closeSync(messages);
    }
  };

  const top = (): void => {
    cancelRefill = undefined;
    if (!open || idle.size >= spares) return;
    try {
      idle.add(start());
    } catch (error) {
      log.warn({ err: error }, 'no runner could be kept ready'); // the next job tries again, and says so if it fails
      return;
    }
    later();
  };
  // One at a time and a little later: the start of a spare must not slow down that of the job it is to replace.
  const later = (): void => {
    if (open && idle.size < spares) cancelRefill ??= clock.after(REFILL_AFTER_MS, top);
  };
  top();

  return {
    run(folder, onGone) {
      const spare = idle.values().next().value;
      if (spare !== undefined) idle.delete(spare);
      const runner = spare ?? start();
      let told = false;
      const gone = (): void => {
        if (told) return;
        told = true;
        onGone();
      };
      runner.once('exit', gone);
      runner.once('error', gone);
      if (runner.exitCode !== null || runner.signalCode !== null) setImmediate(gone);
      runner.stdin?.end(`${folder}\n`);
      later();
    },
    async close() {
      open = false;
      cancelRefill?.();
      const gone = [...idle].map(
        (spare) => new Promise((resolve) => spare.once('exit', resolve).once('error', resolve).ref()),
      );
      for (const spare of idle) spare.kill('SIGKILL'); // it has nothing to lose
      await Promise.all(gone);
    },
  };
}
