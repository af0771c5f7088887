import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Look, ratesBetween } from './stream-rates.ts';

const counters = { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0, dropped: 0, redelivered: 0 };
const look = (atMs: number, of: Record<string, number> | null): Look => ({
  atMs,
  streams: [
    {
      id: 'str_a',
      name: 'a',
      state: 'ready',
      counters:
        of === null
          ? null
          : { ...counters, buffered: 1, bufferedBytes: 2, producers: 3, consumers: 4, refused: 5, ...of },
    } as unknown as Look['streams'][number],
  ],
});

test('a rate is what moved by the time between; the first look, and a stream not seen before, have none', () => {
  const [first] = ratesBetween(undefined, look(0, { messagesIn: 10 }));
  assert.deepEqual([first?.messagesIn, first?.buffered, first?.consumers], [undefined, 1, 4]);
  const [rate] = ratesBetween(look(0, { messagesIn: 10, bytesIn: 100 }), look(500, { messagesIn: 20, bytesIn: 1100 }));
  assert.deepEqual([rate?.messagesIn, rate?.bytesIn, rate?.messagesOut], [20, 2000, 0]);
  assert.equal(ratesBetween(look(0, null), look(1000, { messagesIn: 5 }))[0]?.messagesIn, undefined);
});

test('counters that went back count from nothing', () => {
  const [rate] = ratesBetween(look(0, { messagesIn: 100 }), look(2000, { messagesIn: 10 }));
  assert.equal(rate?.messagesIn, 5);
});
