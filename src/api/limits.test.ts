import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Caller } from '../identity/index.ts';
import { Problem } from '../problems.ts';
import { OPERATIONS } from './contract/index.ts';
import { requestLimits } from './limits.ts';

const token = (id: string): Caller => ({
  kind: 'token',
  id,
  subject: 'ada',
  project: 'demo',
  enclave: 'open',
  environments: ['ace'],
  scopes: [],
  purpose: '',
  classification: 'public',
});
const refused = (thrown: unknown): boolean =>
  thrown instanceof Problem && thrown.code === 'rate-limited' && (thrown.extras.retryAfterSeconds ?? 0) >= 1;

test('each address has its own share', async () => {
  const limits = requestLimits({ addressPerSecond: 2, readsPerSecond: 1, mutationsPerSecond: 1 });
  await limits.address('127.0.0.1');
  await limits.address('127.0.0.1');
  await assert.rejects(limits.address('127.0.0.1'), refused);
  await limits.address('127.0.0.2');
});

test('reads and mutations of a token are limited apart, and one token does not use up another’s share', async () => {
  const limits = requestLimits({ addressPerSecond: 9, readsPerSecond: 2, mutationsPerSecond: 1 });
  const [read, write] = [OPERATIONS['job.list'], OPERATIONS['job.submit']];
  await limits.caller(token('a'), write);
  await assert.rejects(limits.caller(token('a'), write), refused);
  await limits.caller(token('a'), read);
  await limits.caller(token('a'), read);
  await assert.rejects(limits.caller(token('a'), read), refused);
  await limits.caller(token('b'), write);
});

test('a streaming node is not limited: its requests are ours', async () => {
  const limits = requestLimits({ addressPerSecond: 9, readsPerSecond: 1, mutationsPerSecond: 1 });
  for (let i = 0; i < 5; i++) await limits.caller({ kind: 'node', id: 'n', subject: 'dsn01' }, OPERATIONS['node.sync']);
});
