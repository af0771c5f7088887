/** Records what this room does to a stream by itself, under the request that made the stream. At least once: a crash may repeat it. */
import { newId } from '../id.ts';
import type { StreamingDeps } from './deps.ts';
import type { Stream } from './stream.ts';

export async function recordEvent(
  deps: Pick<StreamingDeps, 'audit' | 'clock'>,
  stream: Stream,
  event: { readonly part: string; readonly action: string; readonly detail: Readonly<Record<string, unknown>> },
): Promise<void> {
  await deps.audit.append({
    at: new Date(deps.clock.now()),
    requestId: requestOf(stream),
    phase: 'event',
    callerKind: 'system',
    callerId: event.part,
    subject: event.part,
    project: stream.project,
    action: event.action,
    resource: `stream/${stream.id}`,
    status: null,
    detail: event.detail,
  });
}

/** A stream of before its request was kept, or one that is not known, gets a request of its own. */
export function requestOf(stream: Stream | undefined): string {
  return stream === undefined || stream.requestId === '' ? newId('req') : stream.requestId;
}
