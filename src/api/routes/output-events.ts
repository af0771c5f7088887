/** What follows a job's output as Server-Sent Events, and the id by which a client goes on: attempt and byte, such as 2.4096. */
import type { OutputEvent, OutputPlace } from '../../compute/index.ts';
import { Problem } from '../../problems.ts';
import type { ServerEvent } from '../contract/index.ts';

interface Wanted {
  readonly attempt?: number | undefined;
  readonly offset: number;
}

/** Where to begin. Throws `invalid-request` for an id that is none of ours, or an offset into an attempt that is not named. */
export function readPlace(lastEventId: string | undefined, { attempt, offset }: Wanted): OutputPlace | undefined {
  if (lastEventId !== undefined && lastEventId !== '') {
    const [, number, byte] = /^([1-9]\d{0,8})\.(\d{1,15})$/.exec(lastEventId) ?? [];
    if (number === undefined || byte === undefined) throw fault('header:/Last-Event-ID', 'an id of this stream');
    return { attempt: Number(number), offset: Number(byte) };
  }
  if (attempt !== undefined) return { attempt, offset };
  if (offset > 0) throw fault('query:/offset', 'needs an attempt: which one is the newest may change');
  return undefined;
}

function fault(pointer: string, detail: string): Problem {
  return new Problem('invalid-request', 'It is not clear where to go on.', { errors: [{ pointer, detail }] });
}

export async function* outputEvents(events: AsyncIterable<OutputEvent>): AsyncGenerator<ServerEvent> {
  for await (const event of events) yield serverEvent(event);
}

function serverEvent(event: OutputEvent): ServerEvent {
  switch (event.kind) {
    case 'output': {
      const { task, attempt, text, nextOffset } = event.part;
      return { event: 'output', id: `${attempt}.${nextOffset}`, data: { task, attempt, text, nextOffset } };
    }
    case 'attempt':
      return {
        event: 'attempt',
        id: `${event.attempt}.0`,
        data: { task: event.task, attempt: event.attempt },
      };
    case 'end': {
      const { job, attempt } = event;
      const { outcome = null, exitCode = null, signal = null } = attempt ?? {};
      const of = { task: attempt?.task ?? null, attempt: attempt?.attempt ?? null, outcome, exitCode, signal };
      return { event: 'end', data: { ...of, state: job.state, reason: job.reason } };
    }
  }
}
