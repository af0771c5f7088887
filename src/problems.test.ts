import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asProblem, PROBLEMS, Problem, type ProblemCode, problemDocument } from './problems.ts';

const CODES = Object.keys(PROBLEMS) as ProblemCode[];

test('every problem has a status of its kind, a title, and a remedy that says what to do', () => {
  for (const code of CODES) {
    const { status, title, remedy } = PROBLEMS[code];
    assert.match(code, /^[a-z]+(-[a-z]+)*$/);
    assert.ok(status >= 400 && status <= 599, code);
    assert.ok(title.length > 5 && remedy.endsWith('.'), code);
  }
});

test('a problem document holds the public members and never the cause', () => {
  const problem = new Problem('refused', 'no', {
    cause: new Error('secret path /x'),
    rules: [{ rule: 'r', detail: 'd' }],
    errors: [{ pointer: '#/a', detail: 'b' }],
    retryAfterSeconds: 3,
  });
  const document = problemDocument(problem, 'req_1');
  assert.deepEqual(document, {
    type: 'urn:beamway:problem:refused',
    code: 'refused',
    title: PROBLEMS.refused.title,
    status: 403,
    detail: 'no',
    remedy: PROBLEMS.refused.remedy,
    instance: 'urn:beamway:request:req_1',
    errors: [{ pointer: '#/a', detail: 'b' }],
    rules: [{ rule: 'r', detail: 'd' }],
  });
  assert.doesNotMatch(JSON.stringify(document), /secret/);
});

test('what is thrown and is no problem becomes `internal`, its text kept for the log', () => {
  const thrown = new Error('password=hunter2');
  const problem = asProblem(thrown);
  assert.equal(problem.status, 500);
  assert.equal(problem.cause, thrown);
  assert.doesNotMatch(JSON.stringify(problemDocument(problem, 'req_1')), /hunter2/);
  assert.equal(asProblem('text').code, 'internal');
  const own = new Problem('conflict', 'x');
  assert.equal(asProblem(own), own);
});
