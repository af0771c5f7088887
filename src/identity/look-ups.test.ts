import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Problem } from '../problems.ts';
import { openLookUps } from './look-ups.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Look-ups that end when they are told to, in the order in which they began. */
function byHand() {
  const begun: string[] = [];
  const ends: PromiseWithResolvers<string>[] = [];
  return {
    begun,
    look: (key: string) => () => {
      const end = Promise.withResolvers<string>();
      begun.push(key);
      ends.push(end);
      return end.promise;
    },
    end: (i: number) => ends[i]?.resolve(begun[i] ?? ''),
    fail: (i: number) => ends[i]?.reject(new Error('no database')),
  };
}

test('so many run at a time, the others in the order in which they came, and one that fails gives its place on', async () => {
  const { begun, look, end, fail } = byHand();
  const lookUps = openLookUps<string>({ running: 2, waiting: 10 });
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((key) => lookUps.run(key, look(key)));
  const failed = assert.rejects(b ?? Promise.resolve(), /no database/);
  await turn();
  assert.deepEqual(begun, ['a', 'b']);
  fail(1);
  await failed;
  assert.deepEqual(begun, ['a', 'b', 'c']);
  end(0);
  end(2);
  assert.deepEqual(await Promise.all([a, c]), ['a', 'c']);
  end(3);
  assert.equal(await d, 'd');
  const again = lookUps.run('b', look('b'));
  await turn();
  end(4);
  assert.equal(await again, 'b', 'what failed is looked up anew');
});

test('who asks for what is being looked up, running or waiting, gets that answer and takes no place', async () => {
  const { begun, look, end } = byHand();
  const lookUps = openLookUps<string>({ running: 1, waiting: 1 });
  const all = ['a', 'b', 'a', 'b', 'b', 'a'].map((key) => lookUps.run(key, look(key)));
  await turn();
  end(0);
  await turn();
  end(1);
  assert.deepEqual(await Promise.all(all), ['a', 'b', 'a', 'b', 'b', 'a']);
  assert.deepEqual(begun, ['a', 'b']);
});

test('who finds the queue full is refused and told when to come back; afterwards there is room again', async () => {
  const { look, end } = byHand();
  const lookUps = openLookUps<string>({ running: 1, waiting: 1 });
  const [a, b] = ['a', 'b'].map((key) => lookUps.run(key, look(key)));
  await assert.rejects(
    lookUps.run('c', look('c')),
    (e: unknown) => e instanceof Problem && e.code === 'unavailable' && e.extras.retryAfterSeconds === 1,
  );
  end(0);
  await a;
  const c = lookUps.run('c', look('c'));
  end(1);
  await b;
  await turn();
  end(2);
  assert.equal(await c, 'c');
});
