import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { eventReader, readEvents } from './events.ts';

const TEXT = 'retry: 1000\n\n: still here\n\nid: 1.9\nevent: output\ndata: {"text":"é\\n"}\n\nevent: end\ndata: {}\n\n';

test('events are the same however their bytes are cut', async () => {
  const bytes = Buffer.from(TEXT);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 8 }), async (cuts) => {
      const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
      const chunks = places.slice(1).map((end, i) => bytes.subarray(places[i], end));
      const events = [];
      for await (const event of readEvents(ReadableStream.from(chunks))) events.push(event);
      assert.deepEqual(events, [
        { event: 'output', id: '1.9', data: { text: 'é\n' } },
        { event: 'end', id: '', data: {} },
      ]);
    }),
  );
});

test('line ends of any kind end lines, and data of several lines is joined', () => {
  const { take } = eventReader();
  assert.deepEqual(take('data: [1,\r\ndata: 2]\r\n\r\ndata:no json\n\n'), [
    { event: 'message', id: '', data: [1, 2] },
    { event: 'message', id: '', data: undefined },
  ]);
});

test('whatever comes, nothing is thrown', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string(), fc.constantFrom('\n', '\r', 'data:', 'id: ', 'event: x\n'))),
      (chunks) => {
        const { take } = eventReader();
        for (const chunk of chunks) take(chunk);
      },
    ),
  );
});
