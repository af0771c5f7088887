import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Look, ratesBetween, type StreamRates, sortRates, warningsOf } from './stream-rates.ts';

const counters = { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0, dropped: 0, redelivered: 0 };
const look = (atMs: number, of: Record<string, number> | null): Look => ({
  atMs,
  streams: [
    {
      id: 'str_a',
      name: 'a',
      engine: 'rabbitmq',
      parameters: { bufferBytes: 8 },
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

test('streams are sorted by what is asked for, most first, and equal ones stay in order', () => {
  const [base] = ratesBetween(undefined, look(0, {}));
  const of = (name: string, over: Partial<StreamRates>): StreamRates => ({ ...(base as StreamRates), name, ...over });
  const rates = [of('b', { bytesIn: 1, fill: 0.5 }), of('a', { bytesIn: 5 }), of('c', { fill: 0.9 })];
  const sorted = (key: Parameters<typeof sortRates>[1]) => sortRates(rates, key).map((r) => r.name);
  assert.deepEqual(
    [sorted('age'), sorted('name'), sorted('in')],
    [
      ['b', 'a', 'c'],
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ],
  );
  assert.deepEqual(sorted('fill'), ['c', 'b', 'a']);
  assert.deepEqual(sorted('backlog'), ['b', 'a', 'c']);
});

test('a full buffer, a backlog that nobody takes and publishing without confirms are said in words', () => {
  const words = (of: Record<string, number>): string =>
    ratesBetween(undefined, look(0, of)).flatMap(warningsOf).join('\n');
  assert.equal(words({}), '');
  assert.match(words({ unconfirmed: 7 }), /^a: 7 messages were published without confirms/);
  assert.match(words({ bufferedBytes: 8 }), /100 % full/);
  assert.match(words({ consumers: 0 }), /1 messages wait and no consumer/);
  assert.equal(ratesBetween(undefined, look(0, { bufferedBytes: 2 }))[0]?.fill, 0.25);
});

test('a quota is shown by whichever part of it is used up more, and said before it is met', () => {
  const [stream] = look(0, {}).streams;
  assert.ok(stream);
  const of = (byteQuota: number, messageQuota: number): StreamRates | undefined => {
    const usage = { bytes: 50, messages: 95, reached: '', byteQuota, messageQuota };
    return ratesBetween(undefined, { atMs: 0, streams: [{ ...stream, usage }] })[0];
  };
  assert.deepEqual([of(0, 0)?.quota, of(100, 0)?.quota, of(100, 100)?.quota], [undefined, 0.5, 0.95]);
  const words = [of(100, 0), of(100, 100)].flatMap((r) => (r === undefined ? [] : warningsOf(r)));
  assert.equal(words.length, 1);
  assert.match(words.join(), /^a: 95 % of its quota is used up/);
});
