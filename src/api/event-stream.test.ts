import assert from 'node:assert/strict';
import type { Readable } from 'node:stream';
import { test } from 'node:test';
import { type HandWoundClock, handWoundClock } from '../clock.ts';
import { Problem } from '../problems.ts';
import type { ServerEvent } from './contract/index.ts';
import { eventStream, eventText } from './event-stream.ts';

interface Stream {
  readonly clock: HandWoundClock;
  readonly out: Readable;
  readonly stop: AbortController;
  readonly text: () => string;
  readonly events: ServerEvent[];
  /** Lets what has been begun go on. */
  readonly settle: () => Promise<void>;
  standing: Promise<void>;
  returned: boolean;
}

/** A stream over events that a test pushes; it waits for more until it is told `done`. */
function stream(): Stream & { push(event: ServerEvent): void; done(): void } {
  const clock = handWoundClock();
  const stop = new AbortController();
  const events: ServerEvent[] = [];
  let over = false;
  let wake = (): void => undefined;
  let text = '';
  const source: AsyncIterable<ServerEvent> = {
    [Symbol.asyncIterator]: () => ({
      async next() {
        for (;;) {
          const value = events.shift();
          if (value !== undefined) return { value, done: false };
          if (over) return { value: undefined, done: true };
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      },
      async return() {
        made.returned = true;
        return { value: undefined, done: true };
      },
    }),
  };
  const out = eventStream(source, {
    clock,
    signal: stop.signal,
    check: () => made.standing,
    log: { error: () => undefined },
  });
  out.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const made = {
    clock,
    out,
    stop,
    text: () => text,
    events,
    standing: Promise.resolve(),
    returned: false,
    settle: async () => {
      for (let i = 0; i < 5; i++) await new Promise<void>((resolve) => setImmediate(resolve));
    },
    push(event: ServerEvent) {
      events.push(event);
      wake();
    },
    done() {
      over = true;
      wake();
    },
  };
  return made;
}

test('an event is lines, whatever its data and id hold', () => {
  const event = { event: 'output', id: '1.2\n\revent: x', data: { text: 'a\nb\r\n\ndata: c' } };
  assert.equal(eventText(event), 'id: 1.2event: x\nevent: output\ndata: {"text":"a\\nb\\r\\n\\ndata: c"}\n\n');
});

test('events come as they come, a comment while there are none, and the end is the end', async () => {
  const s = stream();
  s.push({ event: 'output', id: '1.1', data: 'a' });
  await s.settle();
  s.clock.advance(1000);
  await s.settle();
  for (let i = 0; i < 9; i++) {
    s.clock.advance(1000);
    await s.settle();
  }
  s.done();
  await s.settle();
  assert.equal(s.text(), 'retry: 1000\n\nid: 1.1\nevent: output\ndata: "a"\n\n: still here\n\n');
  assert.equal(s.out.readableEnded, true);
});

test('who may not see it any more gets no more, within two seconds', async () => {
  const s = stream();
  s.push({ event: 'output', data: 'a' });
  await s.settle();
  s.standing = Promise.reject(new Problem('token-revoked', 'Token tok_1 was revoked.'));
  s.standing.catch(() => undefined);
  s.clock.advance(1000);
  await s.settle();
  s.push({ event: 'output', data: 'secret' });
  await s.settle();
  assert.match(s.text(), /event: closed\ndata: \{"code":"token-revoked","detail":"Token tok_1 was revoked."\}\n\n$/);
  assert.doesNotMatch(s.text(), /secret/);
  assert.equal(s.out.readableEnded, true);
  assert.equal(s.returned, true);
});

test('where it cannot be found out in time who asks, the stream ends too', async () => {
  const s = stream();
  s.standing = new Promise(() => undefined);
  s.clock.advance(1000);
  await s.settle();
  s.clock.advance(1000);
  await s.settle();
  assert.match(s.text(), /event: closed\ndata: \{"code":"unavailable"/);
});

test('a replica that drains says so and ends; a client that goes away leaves nothing running', async () => {
  const s = stream();
  s.stop.abort();
  await s.settle();
  assert.match(s.text(), /event: closed\ndata: \{"code":"draining"/);
  const gone = stream();
  await gone.settle();
  gone.out.destroy();
  await gone.settle();
  assert.equal(gone.returned, true);
});

test('a fault of ours is logged and not shown', async () => {
  const logged: unknown[] = [];
  const failing = async function* (): AsyncGenerator<ServerEvent> {
    yield { event: 'output', data: 1 };
    throw new Error('the password is');
  };
  const out = eventStream(failing(), {
    clock: handWoundClock(),
    signal: new AbortController().signal,
    check: async () => undefined,
    log: { error: (fields) => void logged.push(fields) },
  });
  let text = '';
  for await (const chunk of out) text += String(chunk);
  assert.match(text, /event: closed\ndata: \{"code":"internal"/);
  assert.doesNotMatch(text, /password/);
  assert.equal(logged.length, 1);
});

test('a reader that takes nothing is cut off a second after the end', async () => {
  const clock = handWoundClock();
  const stop = new AbortController();
  const endless = async function* (): AsyncGenerator<ServerEvent> {
    for (;;) yield { event: 'output', data: 'x'.repeat(10_000) };
  };
  const out = eventStream(endless(), {
    clock,
    signal: stop.signal,
    check: async () => undefined,
    log: { error: () => undefined },
  });
  for (let i = 0; i < 20; i++) await new Promise<void>((resolve) => setImmediate(resolve));
  assert.ok(out.readableLength < 200_000, 'it waits for its reader');
  stop.abort();
  clock.advance(1000);
  assert.equal(out.destroyed, true);
});
