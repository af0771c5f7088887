/**
 * A terminal in a running job: a step of the job's own user that shares what the job holds (`srun --overlap --pty`), joined to a WebSocket that the agent dials back. The
 * agent is not the job's user and never root: the site says in `become` how it may run this one program as him. Bounded in number and time.
 */
import type { IPty } from '@lydell/node-pty';
import type { Clock } from '../../clock.ts';
import { type ActInput, SlurmFailure, terminalFrameSchema } from '../contract/index.ts';
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
  /** Opens the far end with its one-time ticket. */
  readonly dialBack: (ticket: string) => Promise<TerminalSocket>;
}

export interface Terminals {
  open(job: AgentJob, input: ActInput<'terminal'>): Promise<void>;
  /** Hangs up on all. */
  close(): void;
}

const MOST = 64;
const LONGEST_MS = 12 * 3_600_000;
/** Of output that the far end has not taken: the program waits then. */
const HIGH_WATER_BYTES = 1024 * 1024;
const LOOK_MS = 20;
const SHELL = ['/bin/bash', '-l'];

export function openTerminals(deps: TerminalDeps): Terminals {
  const { settings, clock, log } = deps;
  const open = new Set<IPty>();
  return {
    async open(job, input) {
      const argv = terminalArgv(settings, job, input.command);
      if (open.size >= MOST)
        throw new SlurmFailure({ kind: 'unavailable', message: `${MOST} terminals are open here already` });
      const { spawn } = await import('@lydell/node-pty');
      const socket = await deps.dialBack(input.ticket);
      const [program = '', ...args] = argv;
      const terminal = spawn(program, args, {
        name: 'xterm-256color',
        cols: input.columns,
        rows: input.rows,
        cwd: '/',
        env: { PATH: '/usr/bin:/bin', SLURM_CONF: settings.slurm.conf, LANG: 'C.UTF-8' },
        encoding: null,
      });
      open.add(terminal);
      log.info(
        { job: job.state.order.key, requestId: input.asker.requestId, pid: terminal.pid },
        'a terminal was opened',
      );
      // A character of what is typed may come in two frames.
      const typed = new TextDecoder();
      const tooLong = clock.after(LONGEST_MS, () => terminal.kill('SIGHUP'));
      let stopLook = (): void => undefined;
      const drain = (): void => {
        if (socket.bufferedAmount > HIGH_WATER_BYTES / 2) stopLook = clock.after(LOOK_MS, drain);
        else terminal.resume();
      };
      terminal.onData((data: string | Buffer) => {
        socket.send(Uint8Array.from(Buffer.from(data)));
        if (socket.bufferedAmount <= HIGH_WATER_BYTES) return;
        terminal.pause();
        drain();
      });
      terminal.onExit(({ exitCode, signal }) => {
        open.delete(terminal);
        tooLong();
        stopLook();
        socket.send(JSON.stringify({ exit: signal ? 128 + signal : exitCode }));
        socket.close('the program has ended');
        log.info({ job: job.state.order.key, requestId: input.asker.requestId, exitCode }, 'a terminal was closed');
      });
      socket.onFrame((frame) => {
        if (typeof frame !== 'string') return terminal.write(typed.decode(frame, { stream: true }));
        const read = terminalFrameSchema.safeParse(parsed(frame)).data;
        if (read !== undefined && 'columns' in read) terminal.resize(read.columns, read.rows);
      });
      socket.onClose(() => {
        if (open.has(terminal)) terminal.kill('SIGHUP');
      });
    },
    close() {
      for (const terminal of open) terminal.kill('SIGHUP');
    },
  };
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

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
