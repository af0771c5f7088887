import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { z } from 'zod';
import { parseYaml, readYaml, YamlError, type YamlFault } from './read-yaml.ts';

const schema = z.strictObject({
  name: z.string(),
  nodes: z.array(z.strictObject({ name: z.string(), slots: z.int().min(1) })).default([]),
});

function faultsOf(text: string, of: z.ZodType = schema): readonly YamlFault[] {
  try {
    parseYaml('f.yaml', text, of);
  } catch (error) {
    assert.ok(error instanceof YamlError, String(error));
    return error.faults;
  }
  return [];
}

const places = (text: string): string[] => faultsOf(text).map((f) => `${f.line}:${f.column} ${f.detail}`);

test('a good file is its value', () => {
  assert.deepEqual(parseYaml('f.yaml', 'name: x\nnodes:\n  - { name: a, slots: 2 }\n', schema), {
    name: 'x',
    nodes: [{ name: 'a', slots: 2 }],
  });
});

test('bad syntax is found by line and column', () => {
  const [fault] = faultsOf('name: x\nnodes: [1, 2\n');
  assert.equal(fault?.file, 'f.yaml');
  assert.equal(fault?.line, 3);
  assert.ok((fault?.column ?? 0) >= 1);
});

test('every unknown field is named at its own key', () => {
  assert.deepEqual(
    places('name: x\nnoodles: 1\nnodes:\n  - name: a\n    slots: 1\n    colour:\n      red: 1\nmore: 2\n'),
    ['6:5 nodes.0: unknown field colour', '2:1 unknown field noodles', '8:1 unknown field more'],
  );
});

test('a wrong type, a missing field and a bound are found where they stand, all at once', () => {
  const found = places('name: 7\nnodes:\n  - { name: a, slots: none }\n  - { name: b, slots: 0 }\n  - { slots: 1 }\n');
  assert.equal(found.length, 4);
  assert.match(found[0] ?? '', /^1:7 name: .*expected string/);
  assert.match(found[1] ?? '', /^3:23 nodes\.0\.slots: .*expected number/);
  assert.match(found[2] ?? '', /^4:23 nodes\.1\.slots: /);
  assert.match(found[3] ?? '', /^5:5 nodes\.2\.name: /);
});

test('a key that stands twice and a second document are faults', () => {
  assert.deepEqual(
    faultsOf('name: x\nname: y\n').map((f) => f.line),
    [2],
  );
  assert.equal(faultsOf('name: x\n---\nname: y\n').length > 0, true);
});

test('an empty file is a fault at its begin', () => {
  assert.deepEqual(
    faultsOf('').map(({ line, column }) => [line, column]),
    [[1, 1]],
  );
});

test('an alias without its anchor is found where it stands', () => {
  const [fault] = faultsOf('name: x\nnodes: *nowhere\n');
  assert.deepEqual([fault?.line, fault?.column], [2, 8]);
  assert.match(fault?.detail ?? '', /alias/i);
});

test('an alias bomb is refused, not expanded', () => {
  const levels = Array.from({ length: 9 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`);
  const [fault] = faultsOf(`l0: &l0 [x]\n${levels.join('\n')}\n`, z.unknown());
  assert.match(fault?.detail ?? '', /alias/i);
  assert.ok((fault?.line ?? 0) >= 2);
});

test('nesting without end is a fault, not a crash', () => {
  const [fault] = faultsOf('['.repeat(100_000), z.unknown());
  assert.equal(fault?.line, 1);
});

test('whatever stands in a file, reading it gives a value or a YamlError', () => {
  const line = fc.stringMatching(/^[ \-:&*![\]{}#|>'"%@a-z0-9,\t]{0,24}$/);
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), (lines) => {
      for (const fault of faultsOf(lines.join('\n'), z.strictObject({ name: z.string() }))) {
        assert.ok(fault.line >= 1 && fault.column >= 1);
      }
    }),
    { numRuns: 300 },
  );
});

test('a file that cannot be read is a fault that names it', () => {
  assert.throws(() => readYaml('/nowhere/at/all.yaml', schema), /\/nowhere\/at\/all\.yaml:1:1: cannot be read/);
});
