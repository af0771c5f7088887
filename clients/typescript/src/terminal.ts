/**
 * A terminal in a running job, as a program holds it: bytes both ways, its size, and how it ended. One WebSocket; it is not opened again where it breaks, as the program in the job
 * has ended with it.
 */
import { BeamwayUnreachable, type Client } from './client.ts';

export interface TerminalWish {
  readonly job: string;
  /** Found on the PATH of the job's user, or absolute; no shell. Absent: a login shell. */
  readonly program?: string;
  readonly arguments?: readonly string[];
  readonly columns?: number;
  readonly rows?: number;
  /** What the program writes, as it comes. */
  readonly onBytes: (bytes: Uint8Array) => void;
}

export interface Terminal {
  write(bytes: Uint8Array): void;
  resize(columns: number, rows: number): void;
  /** The program's exit code; 128 + N where signal N ended it. Rejects with BeamwayUnreachable where nobody knows, because the connection ended first. */
  readonly exit: Promise<number>;
  /** Hangs up: the program gets SIGHUP. */
  close(): void;
}

/** Throws BeamwayProblem (`conflict` where the job does not run, `not-supported-here`) or BeamwayUnreachable. */
export async function openTerminal(client: Client, wish: TerminalWish): Promise<Terminal> {
  const { job, program, columns = 80, rows = 24 } = wish;
  const command = program === undefined ? {} : { program, arguments: [...(wish.arguments ?? [])] };
  const opened = await client.call('job.terminal', { params: { id: job }, body: { ...command, columns, rows } });
  const socket = client.socket(opened);
  socket.binaryType = 'arraybuffer';
  const exit = new Promise<number>((resolve, reject) => {
    socket.addEventListener('message', ({ data }) => {
      if (typeof data !== 'string') return wish.onBytes(new Uint8Array(data as ArrayBuffer));
      const code = exitIn(data);
      if (code !== undefined) resolve(code);
    });
    socket.addEventListener('close', ({ code, reason }) => {
      const why = reason === '' ? `the connection ended (${code})` : reason;
      reject(new BeamwayUnreachable(`The terminal is gone: ${why}.`));
    });
  });
  // Whoever does not wait for it is not to be ended by it.
  exit.catch(() => undefined);
  await new Promise<void>((resolve) => {
    socket.addEventListener('open', () => resolve(), { once: true });
    socket.addEventListener('close', () => resolve(), { once: true });
  });
  const send = (frame: string | Uint8Array<ArrayBuffer>): void => {
    if (socket.readyState === WebSocket.OPEN) socket.send(frame);
  };
  return {
    write: (bytes) => send(Uint8Array.from(bytes)),
    resize: (width, height) => send(JSON.stringify({ columns: width, rows: height })),
    exit,
    close: () => socket.close(1000),
  };
}

function exitIn(text: string): number | undefined {
  const frame: unknown = JSON.parse(text);
  if (typeof frame !== 'object' || frame === null || !('exit' in frame)) return undefined;
  return typeof frame.exit === 'number' ? frame.exit : undefined;
}
