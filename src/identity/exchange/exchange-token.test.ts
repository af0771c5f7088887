/** What exchangeToken does where the audit log fails it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Problem } from '../../problems.ts';
import { stillClock } from './exchange.fixture.ts';
import { type ExchangeDeps, exchangeToken } from './exchange-token.ts';

test('a refusal that cannot be recorded stays that refusal, and is logged', async () => {
  const logged: object[] = [];
  const deps = {
    clock: stillClock(),
    bearer: () => Promise.reject(new Problem('token-unknown', 'This bearer is not known at this facility.')),
    audit: { append: () => Promise.reject(new Error('the log is full')) },
    log: { error: (fields: object) => logged.push(fields) },
  } as unknown as ExchangeDeps;
  const input = {
    subjectToken: 'x',
    kind: 'ours',
    address: '127.0.0.1',
    requestId: 'req_1',
    project: undefined,
    environments: undefined,
    scopes: undefined,
    lifetimeSeconds: undefined,
  } as const;
  await assert.rejects(exchangeToken(deps, input), { code: 'token-unknown' });
  assert.deepEqual(
    logged.map((f) => ({ ...f, err: String((f as { err: unknown }).err) })),
    [{ requestId: 'req_1', err: 'Error: the log is full' }],
  );
});
