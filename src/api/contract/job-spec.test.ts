import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { submitSchema } from '../../slurm/contract/index.ts';
import { jobSpecSchema, scriptFault } from './job-spec.ts';
import { updateJob } from './jobs.ts';

const SCRIPT = '#!/bin/sh\ntrue\n';
const faults = (body: object): string[] => {
  const { error } = jobSpecSchema.safeParse(body);
  return (error?.issues ?? []).map((i) => `${i.path.join('.')}: ${i.message}`);
};

test('a script or an executable, not both and not neither', () => {
  assert.deepEqual(faults({ script: SCRIPT }), []);
  assert.deepEqual(faults({ executable: '/bin/true' }), []);
  assert.deepEqual(faults({}), ['script: a script or an executable is needed']);
  assert.deepEqual(faults({ script: SCRIPT, executable: '/bin/true' }), [
    'executable: either a script or an executable, not both',
  ]);
});

test('what no kernel could start is told why', () => {
  assert.match(scriptFault('') ?? '', /empty/);
  assert.match(scriptFault('echo') ?? '', /interpreter line/);
  assert.match(scriptFault('#!/bin/sh\r\necho\r\n') ?? '', /carriage return/);
  assert.match(scriptFault('#!/bin/sh\r') ?? '', /carriage return/);
  assert.match(scriptFault('#!\n') ?? '', /absolute path/);
  assert.match(scriptFault('#!bash\n') ?? '', /absolute path/);
  assert.match(scriptFault('\ufeff#!/bin/sh\n') ?? '', /interpreter line/);
  for (const fine of [SCRIPT, '#!/bin/sh', '#! /usr/bin/env python3\nprint()\n', '#!/bin/sh\necho a\r\n'])
    assert.equal(scriptFault(fine), undefined);
  assert.match(faults({ script: `${SCRIPT}\0` })[0] ?? '', /NUL/);
  assert.match(faults({ script: SCRIPT.padEnd(512 * 1024 + 1, '#') })[0] ?? '', /script/);
});

test('names may be any text but what moves a terminal', () => {
  for (const name of ['Müller 中文 🙂', 'a\'b"c$(d)', '-rf']) assert.deepEqual(faults({ script: SCRIPT, name }), []);
  for (const name of ['a\nb', 'a\x1b[31m', '\x7f', 'a\u202eb', 'a\u2028b', 'a\0', ''])
    assert.equal(faults({ script: SCRIPT, name }).length > 0, true, JSON.stringify(name));
  assert.equal(updateJob.body.safeParse({ name: 'a\nb' }).success, false);
  assert.equal(updateJob.body.safeParse({}).success, false);
});

test('paths are absolute and go nowhere else', () => {
  for (const field of ['workDir', 'stdoutPath', 'stderrPath', 'executable']) {
    const rest = field === 'executable' ? {} : { script: SCRIPT };
    for (const path of ['relative', '', '/a/../b', '/..', '/a\0b', `/${'a'.repeat(4096)}`])
      assert.equal(faults({ ...rest, [field]: path }).length > 0, true, `${field} ${path.slice(0, 20)}`);
    for (const path of ['/', '/a b/c', '/a..b/..c', '/ü/$HOME/;x'])
      assert.deepEqual(faults({ ...rest, [field]: path }), [], `${field} ${path}`);
  }
});

test('what the contract takes, the wire to a Slurm agent takes', () => {
  const word = fc.string({ maxLength: 12 });
  const number = fc.oneof(fc.integer(), fc.double());
  const array = fc.record({ first: number, last: number, step: number, atOnce: number }, { requiredKeys: [] });
  const spec = fc.record(
    {
      gres: word,
      constraint: word,
      partition: word,
      reservation: word,
      container: word,
      array,
      memoryMiBPerNode: number,
    },
    { requiredKeys: [] },
  );
  const like = fc.record(
    {
      gres: fc.stringMatching(/^[a-z0-9:,A-Z_.-]{1,12}$/),
      constraint: fc.stringMatching(/^[a-z&|()*,-]{1,8}$/),
      partition: fc.stringMatching(/^[a-zA-Z0-9_.-]{1,8}$/),
      array: fc.record({ first: fc.nat(9), last: fc.nat(20), step: fc.nat(3) }),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(spec, like), (asked) => {
      const taken = jobSpecSchema.safeParse({ script: SCRIPT, ...asked });
      if (!taken.success) return;
      const {
        project: _,
        environment: __,
        streams: ___,
        variables,
        notBefore,
        dependsOn: ____,
        executable: _____,
        ...rest
      } = taken.data;
      const order = {
        ...rest,
        key: 'job_1',
        asker: { project: 'demo', person: 'ada', requestId: 'req_1' },
        environment: variables,
        claims: [],
      };
      const wire = submitSchema.safeParse(JSON.parse(JSON.stringify(order)));
      assert.ok(wire.success, JSON.stringify([asked, wire.error?.issues]));
      assert.equal(notBefore, undefined);
    }),
    { numRuns: 500 },
  );
});

test('a date is a date in UTC, or refused', () => {
  for (const notBefore of ['2026-01-02T00:00:00Z', '2026-01-02T00:00:00.5Z', '9999-12-31T23:59:59Z'])
    assert.deepEqual(faults({ script: SCRIPT, notBefore }), []);
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.stringMatching(/^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.+Z-]{0,14}$/)),
      (notBefore) => {
        if (faults({ script: SCRIPT, notBefore }).length === 0)
          assert.ok(Number.isFinite(Date.parse(notBefore)), notBefore);
      },
    ),
  );
});
