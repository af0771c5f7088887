import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { Problem } from '../problems.ts';
import { readWorkflow } from './workflow.ts';

const EXAMPLE = readFileSync(new URL('../../examples/lclstream/workflow.yaml', import.meta.url), 'utf8');

const workflow = (rest: string): string => `apiVersion: beamway/v1\nkind: Workflow\nname: w\n${rest}`;

const reference = (parameter: string): string => `\${parameters.${parameter}}`;

function faultsOf(text: string, given: Readonly<Record<string, string>> = {}): readonly string[] {
  try {
    readWorkflow(text, given);
    return [];
  } catch (error) {
    assert.ok(error instanceof Problem, `${String(error)} is no Problem`);
    assert.equal(error.code, 'invalid-request');
    assert.ok((error.extras.errors ?? []).length > 0);
    return (error.extras.errors ?? []).map((e) => `${e.pointer} ${e.detail}`);
  }
}

test('the example is read, and its parameters filled in wherever they stand', () => {
  const { steps, streams } = readWorkflow(EXAMPLE, { application: '/opt/app', workers: '7' });
  assert.equal(steps['analyse']?.executable, 'node');
  assert.deepEqual(steps['analyse']?.arguments, ['/opt/app/analyse.ts', '--workers', '7']);
  assert.deepEqual(Object.keys(streams), ['frames', 'results']);
});

test('bad YAML is told by line and column', () => {
  assert.match(faultsOf(workflow('steps:\n  a: {executable: x')).join(), /#\/workflow line 5, column \d+/);
  assert.match(faultsOf(workflow('steps:\n  a: {executable: x}\n  a: {executable: y}')).join(), /line 6, column 3/);
  assert.match(faultsOf(workflow('steps:\n\ta: 1')).join(), /line 5, column 1/);
});

test('a field that is unknown or wrong is told by line and column, all together', () => {
  const faults = faultsOf(
    workflow('colour: red\nsteps:\n  a: {executable: x, nodes: 0}\n  b: {executable: "", tier: Urgent}'),
  );
  assert.equal(faults.length, 4, faults.join('\n'));
  assert.match(faults.join('\n'), /line 4, column \d+: .*colour/);
  assert.match(faults.join('\n'), /line 6, column \d+: steps\.a\.nodes/);
  assert.match(faults.join('\n'), /line 7, column \d+: steps\.b\.executable/);
  assert.match(faults.join('\n'), /line 7, column \d+: steps\.b\.tier/);
});

test('an alias without anchor, a bomb of aliases and endless nesting are faults of the text', () => {
  const bomb = Array.from(
    { length: 9 },
    (_, i) =>
      `a${i}: &a${i} [${Array(9)
        .fill(i === 0 ? 'x' : `*a${i - 1}`)
        .join(', ')}]`,
  );
  for (const text of [
    'a: *nowhere',
    bomb.join('\n'),
    '['.repeat(100_000),
    `${'{a: '.repeat(50_000)}`,
    '\u0000',
    '--- a\n--- b',
    '%YAML 9.9\n---\n',
  ])
    assert.ok(faultsOf(text).length > 0, text.slice(0, 40));
});

test('parameters that are not declared, and those that are needed, are named', () => {
  assert.deepEqual(faultsOf(EXAMPLE, { colour: 'red' }), [
    '#/parameters/colour the workflow declares application, interpreter, workers',
    '#/parameters/application is needed: folder of the programs on the cluster',
  ]);
  const inherited = workflow(`parameters: {constructor: {}}\nsteps: {a: {executable: "${reference('constructor')}"}}`);
  assert.match(faultsOf(inherited).join(), /#\/parameters\/constructor is needed/);
  assert.equal(readWorkflow(inherited, { constructor: 'x' }).steps['a']?.executable, 'x');
});

test('a reference to a stream, step or parameter that is not there is named, and so is a circle', () => {
  const faults = faultsOf(
    workflow(`streams: {s: {template: t}}
steps:
  a: {executable: "\${parameters.lost}", after: [c], streams: {gone: consumer}}
  b: {executable: x, after: [a, nobody]}
  c: {executable: x, after: [b], streams: {s: producer}}`),
  );
  assert.deepEqual(faults, [
    '#/workflow step a: no stream gone',
    '#/workflow step a: no parameter lost',
    '#/workflow step b: after nobody, which is no step',
    '#/workflow steps wait for each other: a -> c -> b -> a',
  ]);
  assert.match(faultsOf(workflow('steps: {a: {executable: x, after: [a]}}')).join(), /a -> a/);
});

test('a parameter is text, never YAML nor another reference', () => {
  const text = workflow(`parameters: {p: {}}\nsteps: {a: {executable: x, arguments: ["${reference('p')}"]}}`);
  for (const value of ['], tier: urgent', reference('p'), '$&', '"; rm -rf /', '\n- b'])
    assert.deepEqual(readWorkflow(text, { p: value }).steps['a']?.arguments, [value]);
});

test('whatever text and parameters come, a workflow or a Problem is the answer', () => {
  const piece = fc.constantFrom(
    'apiVersion: beamway/v1',
    'kind: Workflow',
    'name: w',
    'steps:',
    '  a:',
    '    executable: x',
    '    after: [a]',
    '    streams: {s: consumer}',
    'streams:',
    '  s: {template: t}',
    'parameters:',
    '  p: {default: x}',
    '- ',
    '? ',
    '&a ',
    '*a',
    '!!set',
    '<<: *a',
    '"',
    "'",
    '|',
    '\t',
    '#',
    '---',
    '...',
    '{',
    '}',
    '[',
    ']',
    reference('p'),
    '__proto__: 1',
    'constructor: {executable: x}',
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(fc.oneof(piece, fc.string({ maxLength: 6 })), { maxLength: 25 }).map((lines) => lines.join('\n')),
    fc
      .tuple(fc.nat(EXAMPLE.length), fc.nat(40), fc.oneof(piece, fc.string()))
      .map(([at, cut, junk]) => EXAMPLE.slice(0, at) + junk + EXAMPLE.slice(at + cut)),
  );
  fc.assert(
    fc.property(
      text,
      fc.dictionary(fc.oneof(fc.constantFrom('p', 'application'), fc.string()), fc.string()),
      (workflow, given) => {
        try {
          readWorkflow(workflow, given);
        } catch (error) {
          if (!(error instanceof Problem)) throw error;
        }
      },
    ),
    { numRuns: 1000 },
  );
});
