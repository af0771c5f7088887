/**
 * An answer that is Server-Sent Events (WHATWG HTML, section 9.2): text of the events as they come, a comment every ten seconds so that nobody between takes the connection for dead,
 * and the caller's standing looked at every second, so that a revoked bearer keeps no stream beyond two. Owns its timers; they end with the stream.
 */
import { PassThrough, type Readable } from 'node:stream';
import type { Clock } from '../clock.ts';
import { asProblem, Problem } from '../problems.ts';
import type { ServerEvent } from './contract/index.ts';

const BEAT_MS = 10_000;
const CHECK_MS = 1000;
/** For a reader that is slow to take the last event. */
const GOODBYE_MS = 1000;
/** How long a client waits before it connects again, by our advice. */
const RETRY_MS = 1000;

export interface StreamWatch {
  readonly clock: Clock;
  /** Rejects with a Problem when the caller may not see this any more. */
  readonly check: () => Promise<void>;
  /** The client went away or the replica drains. */
  readonly signal: AbortSignal;
  readonly log: { error(fields: object, text: string): void };
}

/** Line ends cannot stand in an id; JSON holds none in data. */
export function eventText({ event, data, id }: ServerEvent): string {
  const idLine = id === undefined ? '' : `id: ${id.replaceAll(/[\r\n\0]/g, '')}\n`;
  return `${idLine}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

export function eventStream(events: AsyncIterable<ServerEvent>, watch: StreamWatch): Readable {
  const { clock, signal } = watch;
  const out = new PassThrough();
  let over = false;
  let stopBeat = (): void => undefined;
  let stopCheck = (): void => undefined;
  const source = events[Symbol.asyncIterator]();

  const finish = (last?: ServerEvent): void => {
    if (over) return;
    over = true;
    stopBeat();
    stopCheck();
    signal.removeEventListener('abort', leave);
    // Where the source waits for news it ends when it wakes; nobody reads it any more.
    void source.return?.()?.then(undefined, () => undefined);
    if (out.destroyed) return;
    out.end(last === undefined ? '' : eventText(last));
    const stopGoodbye = clock.after(GOODBYE_MS, () => out.destroy());
    out.once('close', stopGoodbye);
  };
  const fail = (thrown: unknown): void => {
    const problem = asProblem(thrown);
    if (problem.code === 'internal') watch.log.error({ err: problem.cause }, 'a stream of events failed');
    finish({ event: 'closed', data: { code: problem.code, detail: problem.message } });
  };
  const leave = (): void =>
    finish({ event: 'closed', data: { code: 'draining', detail: 'This replica is shutting down; connect again.' } });
  const beat = (): void => {
    stopBeat = clock.after(BEAT_MS, beat);
    out.write(': still here\n\n');
  };
  const check = (): void => {
    inTime(clock, watch.check()).then(() => {
      if (!over) stopCheck = clock.after(CHECK_MS, check);
    }, fail);
  };
  const pump = async (): Promise<void> => {
    for (;;) {
      const next = await source.next();
      if (over || next.done === true) return finish();
      if (!out.write(eventText(next.value))) await roomIn(out);
    }
  };

  out.once('close', () => finish());
  out.write(`retry: ${RETRY_MS}\n\n`);
  stopBeat = clock.after(BEAT_MS, beat);
  stopCheck = clock.after(CHECK_MS, check);
  signal.addEventListener('abort', leave, { once: true });
  if (signal.aborted) leave();
  else pump().catch(fail);
  return out;
}

/** Resolves when the reader has taken what was written, or is gone. */
function roomIn(out: PassThrough): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      out.off('drain', done);
      out.off('close', done);
      resolve();
    };
    out.on('drain', done);
    out.on('close', done);
    if (out.destroyed) done();
  });
}

function inTime(clock: Clock, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = new Problem('unavailable', 'Whether this may still be seen could not be found out in time.');
    const stop = clock.after(CHECK_MS, () => reject(late));
    work.then(() => resolve(), reject).finally(stop);
  });
}
