/**
 * Starts the programs of the stream benchmarks, each in its own process, talks to them in JSON lines, and reads the CPU time
 * of a process from /proc.
 * Owns nothing: children are tracked by the context and ended by it at the latest.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { BenchContext } from '../figure.ts';

export interface Program {
  readonly child: ChildProcess;
  readonly pid: number;
  tell(line: object): void;
  /** The next line it says. Rejects when it ends first. */
  hear<T>(): Promise<T>;
  /** Closes its stdin, which ends it, and waits. */
  end(): Promise<void>;
  exited: Promise<number | null>;
}

/** Starts one of our TypeScript programs and gives it its orders. */
export function startProgram(context: BenchContext, file: string, orders: object): Program {
  return converse(context, process.execPath, [path.join(import.meta.dirname, 'programs', file)], orders);
}

function converse(context: BenchContext, command: string, args: readonly string[], orders: object): Program {
  const child = context.track(spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] }));
  const { stdin, stdout, stderr, pid } = child;
  if (stdin === null || stdout === null || stderr === null || pid === undefined)
    throw new Error(`cannot start ${command}`);
  stdin.on('error', () => undefined);
  // zeromq warns when a process waits at its end for libzmq to flush, which is what the push client does on purpose.
  createInterface(stderr).on('line', (line) => line.includes('Waiting for queued ZeroMQ') || context.log(line));
  const lines = createInterface(stdout)[Symbol.asyncIterator]();
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const tell = (line: object): void => void stdin.write(`${JSON.stringify(line)}\n`);
  tell(orders);
  return {
    child,
    pid,
    tell,
    exited,
    async hear<T>() {
      const next = await lines.next();
      if (next.done === true) throw new Error(`${args.at(-1)} ended without an answer`);
      return JSON.parse(next.value) as T;
    },
    async end() {
      stdin.end();
      await exited;
    },
  };
}

/** Seconds of CPU all threads of a process have used. Nanoseconds from schedstat; ticks of 10 ms where that is absent. */
export function cpuSeconds(pid: number): number {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    const spent = tasks.map((task) =>
      Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]),
    );
    return spent.reduce((sum, nanoseconds) => sum + nanoseconds, 0) / 1e9;
  } catch {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }
}

/** A port that was free a moment ago, for programs that cannot tell which one they took. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** Resolves when something accepts connections on the port. */
export async function portAnswers(port: number, deadlineMs: number): Promise<void> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('close', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (open) return;
    if (performance.now() > end) throw new Error(`nothing answers on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
