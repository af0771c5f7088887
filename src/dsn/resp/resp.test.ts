// Commands read and walked whatever the pieces they come in; what is no command is told, never thrown, and never taken for one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { command, readCommand } from './read-command.ts';
import { commandScanner } from './scan-commands.ts';

const words = fc.array(fc.string({ maxLength: 20, unit: 'grapheme' }), { minLength: 1, maxLength: 8 });
const bounds = { maxWordBytes: 1024 };

test('of more commands that put in than there is room for, those that fit are passed whole', () => {
  const put = command('XADD', 'frames', '*', 'f', 'x'.repeat(50));
  const asked = command('XLEN', 'frames');
  const all = Buffer.concat([put, asked, put, asked, put]);
  for (let cut = 0; cut <= all.length; cut++) {
    const scanner = commandScanner({ maxWordBytes: 1000 });
    let passed = 0;
    for (const piece of [all.subarray(0, cut), all.subarray(cut)]) {
      const found = scanner.scanUpTo(piece, 2 - scanner.messages());
      assert.ok(typeof found === 'number');
      passed += found;
    }
    assert.equal(scanner.messages(), 2);
    assert.equal(passed, all.length - 1, 'the last octet of the third is not passed');
  }
});

test('what is written as a command is read as it was, and is `more` at every cut before its end', () => {
  fc.assert(
    fc.property(words, (sent) => {
      const octets = command(...sent);
      const read = readCommand(octets, 0);
      assert.deepEqual(read, { kind: 'command', words: sent, end: octets.length });
      for (let cut = 0; cut < octets.length; cut++)
        assert.deepEqual(readCommand(octets.subarray(0, cut), 0), { kind: 'more' });
    }),
  );
});

test('a line of words is a command too', () => {
  assert.deepEqual(readCommand(Buffer.from('AUTH  ada secret\r\nPING\r\n'), 0), {
    kind: 'command',
    words: ['AUTH', 'ada', 'secret'],
    end: 18,
  });
});

test('any octets: read, asked for more, or told wrong; never thrown, never beyond what is there', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom('', '*', '*2\r\n$', '*1\r\n$3\r\n'),
      (tail, head) => {
        const octets = Buffer.concat([Buffer.from(head), tail]);
        const read = readCommand(octets, 0);
        if (read.kind === 'command') assert.ok(read.end <= octets.length);
        commandScanner(bounds).scan(octets);
      },
    ),
    { numRuns: 2000 },
  );
});

for (const [text, reason] of [
  ['*-1\r\n', /no number/],
  ['*99\r\n', /more than 32 words/],
  ['*1\r\n:1\r\n', /no bulk string/],
  ['*1\r\n$9999\r\n', /more than 1024/],
  ['*1\r\n$1\r\nabc', /does not end/],
  ['*99999999999\r\n', /no number/],
  [`${'x'.repeat(2000)}`, /line without an end/],
] as const)
  test(`before AUTH ${JSON.stringify(text.slice(0, 20))} is refused`, () => {
    const read = readCommand(Buffer.from(text), 0);
    assert.ok(read.kind === 'violation' && reason.test(read.reason), JSON.stringify(read));
  });

test('the walk counts the same whatever the cuts, and holds nothing of a payload', () => {
  const session = fc.array(
    fc.record({
      name: fc.constantFrom('XADD', 'xadd', 'PUBLISH', 'XREADGROUP', 'PING', 'XACK', 'LPUSH', 'XADDX'),
      rest: fc.array(fc.string({ maxLength: 50 }), { maxLength: 4 }),
    }),
    { minLength: 1, maxLength: 12 },
  );
  fc.assert(
    fc.property(session, fc.array(fc.nat(400), { maxLength: 20 }), (sent, cuts) => {
      const octets = Buffer.concat(sent.map(({ name, rest }) => command(name, ...rest)));
      const scanner = commandScanner(bounds);
      const places = [...new Set([0, ...cuts.filter((c) => c < octets.length), octets.length])].sort((a, b) => a - b);
      for (const [i, place] of places.entries()) {
        const next = places[i + 1];
        if (next !== undefined) assert.equal(scanner.scan(octets.subarray(place, next)), undefined);
      }
      const puts = sent.filter(({ name }) => /^(xadd|publish|lpush)$/i.test(name)).length;
      assert.deepEqual([scanner.commands(), scanner.messages()], [sent.length, puts]);
    }),
    { numRuns: 500 },
  );
});

test('a word longer than may be is told before its payload came', () => {
  const scanner = commandScanner(bounds);
  assert.match(String(scanner.scan(Buffer.from('*2\r\n$4\r\nXADD\r\n$1025\r\n'))), /1025 octets; at most 1024/);
});
