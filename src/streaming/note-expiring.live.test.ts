// The end of a stream's life is said at 24 h and at 1 h left, each once, over repeated looks and replicas at once; an extension arms it again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemCaller } from '../identity/index.ts';
import { extendStream } from './extend-stream.ts';
import { noteExpiring } from './note-expiring.ts';
import { streamingTest } from './testing.ts';

const HOUR_MS = 3_600_000;
const DAYS = (count: number): number => (count * 24 * HOUR_MS) / 1000;

test('each is said once, and anew of a later end of life; of one that is given shorter it is not', async (t) => {
  const s = await streamingTest(t);
  const said: unknown[] = [];
  const deps = {
    ...s.deps,
    audit: {
      ...s.deps.audit,
      append: async (record: Parameters<typeof s.deps.audit.append>[0]) => {
        if (record.action === 'stream.expiring') said.push(record.detail['hours']);
        return s.deps.audit.append(record);
      },
    },
  };
  const look = async (): Promise<unknown[]> => {
    await Promise.all([noteExpiring(deps), noteExpiring(deps)]);
    await noteExpiring(deps);
    return said.splice(0);
  };
  await s.sync('dsn01', []);
  const { id } = await s.create(systemCaller('test'), {
    parameters: { bufferBytes: 65_536, lifetimeSeconds: DAYS(2) },
  });
  await s.create(systemCaller('test'), { parameters: { bufferBytes: 65_536, lifetimeSeconds: DAYS(7) } });
  assert.deepEqual(await look(), []);
  s.passMs(25 * HOUR_MS);
  assert.deepEqual(await look(), [24]);
  s.passMs(22.5 * HOUR_MS);
  assert.deepEqual(await look(), [1]);
  await extendStream(deps, id, DAYS(0.5));
  assert.deepEqual(await look(), [], 'who gave it 12 h knows that');
  s.passMs(11.5 * HOUR_MS);
  assert.deepEqual(await look(), [1]);
});
