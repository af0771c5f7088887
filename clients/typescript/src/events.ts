/** Reads Server-Sent Events (WHATWG HTML, section 9.2) off an answer's body. Whatever comes, it throws nothing: what is no event is left out. */

export interface ReceivedEvent {
  readonly event: string;
  /** From here Last-Event-ID goes on; empty: the event has none. */
  readonly id: string;
  /** Parsed JSON; undefined where it is none. */
  readonly data: unknown;
}

/** An event that grows beyond this is not ours: the stream is given up. */
const LONGEST_EVENT = 4 * 1024 * 1024;

export function eventReader(): { take(chunk: string): ReceivedEvent[] } {
  let rest = '';
  let lines: string[] = [];
  return {
    take(chunk) {
      const events: ReceivedEvent[] = [];
      rest += chunk;
      const parts = rest.split(/\r\n|\n|\r(?!$)/);
      rest = parts.pop() ?? '';
      for (const line of parts) {
        if (line !== '') {
          lines.push(line);
          continue;
        }
        const event = eventOf(lines);
        if (event !== undefined) events.push(event);
        lines = [];
      }
      if (rest.length > LONGEST_EVENT) rest = '';
      if (lines.length > LONGEST_EVENT) lines = [];
      return events;
    },
  };
}

function eventOf(lines: readonly string[]): ReceivedEvent | undefined {
  const field = (name: string): string[] =>
    lines.flatMap((line) => {
      if (!line.startsWith(`${name}:`)) return [];
      const value = line.slice(name.length + 1);
      return [value.startsWith(' ') ? value.slice(1) : value];
    });
  const data = field('data');
  if (data.length === 0) return undefined;
  return { event: field('event').at(-1) ?? 'message', id: field('id').at(-1) ?? '', data: jsonOf(data.join('\n')) };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Ends with the answer; rejects where the connection breaks. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ReceivedEvent> {
  const reader = eventReader();
  const decoder = new TextDecoder();
  for await (const bytes of body) yield* reader.take(decoder.decode(bytes, { stream: true }));
}
