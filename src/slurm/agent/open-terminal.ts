/**
 * A terminal in a running job: a step of the job's own user that shares what the job holds (`srun --overlap --pty`), joined to a WebSocket that the agent dials back. The
 * agent is not the job's user and never root: the site says in `become` how it may run this one program as him. Bounded in number and time.
 */
import { type IPty, spawn } from '@lydell/node-pty';
import type { Clock } from '../../clock.ts';
import { type ActInput, readTerminalFrame, SlurmFailure, TERMINAL_FRAME_BYTES } from '../contract/index.ts';
import type { AgentJob, AgentLog } from './agent-jobs.ts';
import { lastSubmission } from './job-state.ts';
import type { AgentSettings } from './settings.ts';

/** The far end, already open. Bytes travel as binary frames, everything else as JSON. */
export interface TerminalSocket {
  /** Bytes sent and not yet on the wire. */
  readonly bufferedAmount: number;
  send(frame: string | Uint8Array<ArrayBuffer>): void;
  close(reason: string): void;
  onFrame(listener: (frame: string | Uint8Array) => void): void;
  onClose(listener: () => void): void;
}

export interface TerminalDeps {
  readonly settings: AgentSettings;
  readonly clock: Clock;
  readonly log: AgentLog;
  /** Opens the far end, at the replica that asked, with its one-time ticket. */
  readonly dialBack: (to: { readonly url: string; readonly ticket: string }) => Promise<TerminalSocket>;
}

export interface Terminals {
  open(job: AgentJob, input: ActInput<'terminal'>, from: { readonly url: string }): Promise<void>;
  /** Hangs up on all. */
  close(): void;
}

/** What node-pty's type leaves out: gives the terminal back, which hangs up on whoever holds it, whatever user he became. */
interface Pty extends IPty {
  destroy(): void;
}

const MOST = 64;
const LONGEST_MS = 12 * 3_600_000;
/** Of output that the far end has not taken: the program waits then. */
const HIGH_WATER_BYTES = 1024 * 1024;
const LOOK_MS = 20;
/** 128 + SIGHUP, as a shell tells it. */
const HUNG_UP = 129;
const SHELL = ['/bin/bash', '-l'];

export function openTerminals(deps: TerminalDeps): Terminals {
  const { settings, clock, log } = deps;
  const open = new Set<Pty>();
  let opening = 0;
  return {
    async open(job, input, { url }) {
      const argv = terminalArgv(settings, job, input.command);
      if (open.size + opening >= MOST)
        throw new SlurmFailure({ kind: 'unavailable', message: `${MOST} terminals are open here already` });
      opening += 1;
      try {
        const socket = await deps.dialBack({ url, ticket: input.ticket });
        const [program = '', ...args] = argv;
        const terminal = spawn(program, args, {
          name: 'xterm-256color',
          cols: input.columns,
          rows: input.rows,
          cwd: '/',
          env: { PATH: '/usr/bin:/bin', SLURM_CONF: settings.slurm.conf, LANG: 'C.UTF-8', TERM: 'xterm-256color' },
          encoding: null,
        }) as Pty;
        open.add(terminal);
        const about = { job: job.state.order.key, requestId: input.asker.requestId, pid: terminal.pid };
        log.info(about, 'a terminal was opened');
        const stop = clock.after(LONGEST_MS, () => terminal.destroy());
        join(terminal, socket, clock, (exit) => {
          if (!open.delete(terminal)) return;
          stop();
          log.info({ ...about, exit }, 'a terminal was closed');
        });
      } finally {
        opening -= 1;
      }
    },
    close() {
      for (const terminal of open) terminal.destroy();
    },
  };
}

/** Both ways until one end is gone. `ended` is called once the program is. */
function join(terminal: Pty, socket: TerminalSocket, clock: Clock, ended: (exit: number) => void): void {
  // A character of what is typed may come in two frames.
  const typed = new TextDecoder();
  let gone = false;
  let told = false;
  let wants = true;
  let stopLook: (() => void) | undefined;
  const flow = (): void => {
    if (gone) return;
    const taken = socket.bufferedAmount <= HIGH_WATER_BYTES / 2;
    stopLook = wants && !taken ? clock.after(LOOK_MS, flow) : undefined;
    if (wants && taken) terminal.resume();
  };
  terminal.onData((data: string | Buffer) => {
    const bytes = Uint8Array.from(Buffer.from(data));
    for (let at = 0; at < bytes.length; at += TERMINAL_FRAME_BYTES)
      socket.send(bytes.slice(at, at + TERMINAL_FRAME_BYTES));
    if (socket.bufferedAmount <= HIGH_WATER_BYTES || stopLook !== undefined) return;
    terminal.pause();
    flow();
  });
  terminal.onExit(({ exitCode, signal }) => {
    if (told) return;
    told = true;
    gone = true;
    stopLook?.();
    const exit = signal ? 128 + signal : exitCode;
    socket.send(JSON.stringify({ exit }));
    socket.close('the program has ended');
    ended(exit);
  });
  const take = (frame: string | Uint8Array): void => {
    if (typeof frame !== 'string') {
      terminal.write(typed.decode(frame, { stream: true }));
      return;
    }
    const read = readTerminalFrame(frame);
    if (read === undefined || 'exit' in read) return;
    if ('columns' in read) {
      terminal.resize(read.columns, read.rows);
      return;
    }
    wants = read.flow === 'resume';
    if (!wants) terminal.pause();
    else if (stopLook === undefined) flow();
  };
  socket.onFrame((frame) => {
    if (gone) return;
    try {
      take(frame);
    } catch {
      // Its program has just ended, and the descriptor with it; the exit comes.
    }
  });
  socket.onClose(() => {
    if (gone) return;
    gone = true;
    told = true;
    stopLook?.();
    // Not a signal: the program may run as somebody whom we cannot signal.
    terminal.destroy();
    ended(HUNG_UP);
  });
}

/** Throws SlurmFailure where this site has no terminals, or the job has no node just now. */
export function terminalArgv(settings: AgentSettings, job: AgentJob, command: readonly string[]): readonly string[] {
  const { become, slurm } = settings;
  if (become === undefined)
    throw new SlurmFailure({
      kind: 'invalid',
      message: 'terminals are not set up on this cluster: its agent has no `become`',
    });
  const nativeId = lastSubmission(job.state)?.nativeId;
  if (job.state.record.state !== 'running' || nativeId === undefined)
    throw new SlurmFailure({ kind: 'invalid', message: `the job is ${job.state.record.state}, not running` });
  if (command[0]?.startsWith('-') === true)
    throw new SlurmFailure({ kind: 'invalid', message: 'command: its first word is a program, not an option' });
  return [
    ...become.map((word) => word.replaceAll('{user}', job.state.unix.name)),
    `${slurm.binDir}/srun`,
    '--overlap',
    `--jobid=${nativeId}`,
    '--ntasks=1',
    '--quiet',
    '--pty',
    ...(command.length === 0 ? SHELL : command),
  ];
}
