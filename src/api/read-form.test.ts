import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PROBLEMS, Problem, type ProblemCode, problemDocument } from '../problems.ts';
import { oauthAnswer, oauthError } from './oauth-answer.ts';
import { readForm } from './read-form.ts';

test('a form is each key once, an empty value is none', () => {
  assert.deepEqual(readForm('a=1&b=&c=%26+%C3%A4'), { a: '1', c: '& ä' });
  assert.deepEqual(readForm(''), {});
  assert.throws(() => readForm('a=1&a=1'), /twice/);
  assert.throws(() => readForm('a=&a='), /twice/);
  assert.throws(() => readForm(Array.from({ length: 33 }, (_, i) => `k${i}=`).join('&')), /more than 32/);
  assert.deepEqual(Object.keys(readForm('__proto__=1')), ['__proto__'], 'a name like any other');
});

test('whatever is sent is read as text or refused, and what was written is read back', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      try {
        for (const value of Object.values(readForm(text))) assert.ok(typeof value === 'string' && value !== '');
      } catch (thrown) {
        assert.ok(thrown instanceof Problem && thrown.code === 'malformed-body');
      }
    }),
  );
  const fields = fc.dictionary(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), { maxKeys: 32 });
  fc.assert(
    fc.property(fields, (given) => assert.deepEqual({ ...readForm(`${new URLSearchParams(given)}`) }, { ...given })),
  );
});

test('every problem has an OAuth error of the characters that RFC 6749 allows, and so has its description', () => {
  for (const code of Object.keys(PROBLEMS) as ProblemCode[]) {
    assert.match(oauthError(code), /^[a-z_]+$/);
    const errors = [{ pointer: '#/token', detail: 'a "quoted" \\ line\nbreak ä' }];
    const answer = oauthAnswer(problemDocument(new Problem(code, 'What "was"\twrong.', { errors }), 'req_x'));
    assert.match(answer.error_description, /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/);
    assert.match(answer.error_description, /token: a/);
  }
  assert.equal(oauthError('token-expired'), 'invalid_token');
  assert.equal(oauthError('invalid-request'), 'invalid_request');
  assert.equal(oauthError('internal'), 'server_error');
});
