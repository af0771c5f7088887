/**
 * The two ends of a terminal, joined: whoever looks at it, and the agent that runs it. Either may come first; what the program writes meanwhile is kept, and the program told to
 * wait where that is much. Owns both sockets; when one goes the other does. Bytes pass as they are, sizes and the exit as checked frames.
 */
import type { RawData, WebSocket } from 'ws';
import type { Clock } from '../../clock.ts';
import { readTerminalFrame } from '../../slurm/contract/index.ts';
import { CLOSE, closeSocket } from './keep-open.ts';

export interface TerminalEnd {
  /** The program's, where it ended by itself. */
  readonly exit: number | null;
  /** In plain words. */
  readonly why: string;
  readonly bytesToJob: number;
  readonly bytesFromJob: number;
}

export interface JoinedTerminal {
  /** The end that runs the program. */
  readonly agent: (socket: WebSocket) => void;
  /** The end that somebody looks at. */
  readonly person: (socket: WebSocket) => void;
  /** Ends it from outside. Safe to repeat. */
  end(why: string): void;
}

const HIGH_WATER_BYTES = 1024 * 1024;
const LOOK_MS = 20;
const OPEN = 1;

/** `ended` is called once. */
export function joinTerminal(clock: Clock, ended: (end: TerminalEnd) => void): JoinedTerminal {
  let agent: WebSocket | undefined;
  let person: WebSocket | undefined;
  let over = false;
  let exit: number | null = null;
  let [bytesToJob, bytesFromJob, kept] = [0, 0, 0];
  const early: Buffer[] = [];
  let waits = false;
  let stopLook = (): void => undefined;

  const end = (why: string): void => {
    if (over) return;
    over = true;
    stopLook();
    for (const socket of [agent, person])
      if (socket !== undefined) closeSocket(socket, clock, { code: CLOSE.ended, reason: why });
    ended({ exit, why, bytesToJob, bytesFromJob });
  };
  const tell = (socket: WebSocket | undefined, frame: object): void => {
    if (socket?.readyState === OPEN) socket.send(JSON.stringify(frame));
  };
  /** The agent's socket is read on: one that is not read answers no ping, and would be taken for dead. */
  const flow = (): void => {
    if (over) return;
    const behind = person === undefined ? kept : person.bufferedAmount;
    if (!waits && behind > HIGH_WATER_BYTES) {
      waits = true;
      tell(agent, { flow: 'pause' });
    } else if (waits && behind < HIGH_WATER_BYTES / 2) {
      waits = false;
      tell(agent, { flow: 'resume' });
    }
    stopLook();
    if (waits) stopLook = clock.after(LOOK_MS, flow);
  };
  const fromJob = (bytes: Buffer): void => {
    bytesFromJob += bytes.length;
    if (person === undefined) {
      early.push(bytes);
      kept += bytes.length;
    } else if (person.readyState === OPEN) person.send(bytes, { binary: true });
    flow();
  };
  return {
    agent(socket) {
      if (over || agent !== undefined) return closeSocket(socket, clock, { code: CLOSE.ended, reason: 'it is over' });
      agent = socket;
      socket.on('message', (data: RawData, isBinary) => {
        if (over) return;
        if (isBinary) return fromJob(bytesOf(data));
        const frame = readTerminalFrame(data.toString());
        if (frame === undefined || !('exit' in frame)) return;
        exit = frame.exit;
        if (person === undefined) return;
        tell(person, { exit });
        end('the program has ended');
      });
      socket.once('close', () => {
        // It may have ended before anybody came to look: what it wrote is still to be shown.
        if (exit === null || person !== undefined) end('the agent went away');
      });
    },
    person(socket) {
      if (over || person !== undefined) return closeSocket(socket, clock, { code: CLOSE.ended, reason: 'it is over' });
      person = socket;
      for (const bytes of early.splice(0)) socket.send(bytes, { binary: true });
      kept = 0;
      if (exit !== null) {
        tell(socket, { exit });
        return end('the program has ended');
      }
      flow();
      socket.on('message', (data: RawData, isBinary) => {
        if (over || agent?.readyState !== OPEN) return;
        if (isBinary) {
          const bytes = bytesOf(data);
          bytesToJob += bytes.length;
          agent.send(bytes, { binary: true });
          slowDown(socket, agent, clock);
          return;
        }
        const frame = readTerminalFrame(data.toString());
        if (frame === undefined) return end('what came was no frame of a terminal');
        if ('columns' in frame) tell(agent, frame);
      });
      socket.once('close', () => end('whoever looked went away'));
    },
    end,
  };
}

/** Somebody pastes more than the job's program reads. */
function slowDown(from: WebSocket, to: WebSocket, clock: Clock): void {
  if (to.bufferedAmount <= HIGH_WATER_BYTES || from.isPaused) return;
  from.pause();
  const look = (): void => {
    if (from.readyState !== OPEN) return;
    if (to.readyState === OPEN && to.bufferedAmount > HIGH_WATER_BYTES / 2) clock.after(LOOK_MS, look);
    else from.resume();
  };
  clock.after(LOOK_MS, look);
}

function bytesOf(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
