// The rights of a role in Redis, against brokers that grant too much or too little.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Role, redisRights } from './knock-rights.ts';

/** Answers by the name of the command. */
function played(answers: Readonly<Record<string, string>>) {
  const asked: string[] = [];
  let waiting = '';
  return {
    asked,
    write: (octets: Uint8Array | string) => {
      const name = /^\*\d+\r\n\$\d+\r\n(\w+)/.exec(String(octets))?.[1] ?? '';
      asked.push(name);
      waiting = `${answers[name] ?? '-NOPERM no'}\r\n`;
    },
    read: async () => Buffer.from(waiting),
  };
}

const PRODUCER = { MULTI: '+OK', XADD: '+QUEUED', DISCARD: '+OK' };

test('a producer’s right to publish is asked for and never used; a consumer’s lack of it is seen', async () => {
  const wire = played(PRODUCER);
  assert.equal(await redisRights(wire, 'producer'), 'a producer may publish and may not read');
  assert.deepEqual(wire.asked.slice(0, 3), ['MULTI', 'XADD', 'DISCARD']);
  assert.equal(await redisRights(played({ XLEN: ':0' }), 'consumer'), 'a consumer may read and may not publish');
});

for (const [what, role, answers, says] of [
  ['a producer that may not publish', 'producer', { ...PRODUCER, XADD: '-NOPERM no' }, /a producer may not publish/],
  ['a producer that may make groups', 'producer', { ...PRODUCER, XGROUP: '+OK' }, /may do what consumers do/],
  ['a consumer that may publish', 'consumer', { XADD: '_', XLEN: ':0' }, /a consumer may publish.*tell whoever runs/],
  ['a consumer that may not look', 'consumer', {}, /a consumer may not look/],
] as const satisfies readonly (readonly [string, Role, Readonly<Record<string, string>>, RegExp])[])
  test(`${what} is told in words`, () => assert.rejects(redisRights(played(answers), role), says));
