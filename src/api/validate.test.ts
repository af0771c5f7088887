import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Problem } from '../problems.ts';
import { OPERATIONS, type Operation } from './contract/index.ts';
import { type Exchange, newExchange } from './exchange.ts';
import { validateParts } from './validate.ts';

interface Parts {
  readonly params?: unknown;
  readonly query?: unknown;
  readonly body?: unknown;
  readonly key?: string;
}

function exchangeOf(operation: Operation, parts: Parts): Exchange {
  const exchange = newExchange({
    operation,
    route: { handle: () => undefined },
    remoteAddress: '127.0.0.1',
    authorization: undefined,
    idempotencyHeader: parts.key,
    lastEventId: undefined,
    signal: new AbortController().signal,
  });
  Object.assign(exchange.raw, { params: parts.params ?? {}, query: parts.query ?? {}, body: parts.body });
  return exchange;
}

function faults(operation: Operation, parts: Parts): Record<string, string> {
  try {
    validateParts(exchangeOf(operation, parts));
  } catch (thrown) {
    assert.ok(thrown instanceof Problem && thrown.code === 'invalid-request');
    return Object.fromEntries((thrown.extras.errors ?? []).map((e) => [e.pointer, e.detail]));
  }
  return {};
}

const SCRIPT = '#!/bin/sh\ntrue\n';

test('every failing field of path, query, body and headers is listed in one problem', () => {
  const found = faults(OPERATIONS['job.submit'], {
    query: { verbose: '1' },
    body: { script: 'no interpreter', nodes: 0, variables: { '1bad': 'x' }, tier: 'URGENT', nodez: 3, 'a/b~c': 1 },
    key: 'has blanks in it',
  });
  assert.deepEqual(
    Object.keys(found).sort(),
    [
      '#/a~1b~0c',
      '#/nodes',
      '#/nodez',
      '#/script',
      '#/tier',
      '#/variables/1bad',
      'header:/Idempotency-Key',
      'query:/verbose',
    ].sort(),
  );
  assert.equal(found['#/nodez'], 'unknown field');
  assert.match(found['#/script'] ?? '', /interpreter line/);
});

test('a missing body is an empty one, and its missing fields are named', () => {
  assert.deepEqual(Object.keys(faults(OPERATIONS['token.mint'], {})).sort(), [
    '#/environments',
    '#/lifetimeSeconds',
    '#/project',
    '#/scopes',
  ]);
});

test('defaults are filled in, and numbers in a query are read', () => {
  const exchange = exchangeOf(OPERATIONS['job.submit'], { body: { script: SCRIPT }, key: 'k-1' });
  validateParts(exchange);
  assert.equal(exchange.idempotencyKey, 'k-1');
  assert.deepEqual(exchange.body, {
    name: 'job',
    tier: 'batch',
    script: SCRIPT,
    arguments: [],
    variables: {},
    nodes: 1,
    slotsPerNode: 1,
    timeLimitSeconds: 3600,
    requeue: true,
    streams: [],
  });
  const listed = exchangeOf(OPERATIONS['job.list'], { query: { limit: '7' } });
  validateParts(listed);
  assert.deepEqual(listed.query, { limit: 7 });
  assert.deepEqual(Object.keys(faults(OPERATIONS['job.list'], { query: { limit: '1001', state: 'odd' } })).sort(), [
    'query:/limit',
    'query:/state',
  ]);
});

test('a NUL character is refused where the text would reach the database', () => {
  assert.deepEqual(Object.keys(faults(OPERATIONS['job.show'], { params: { id: 'job_\0' } })), ['path:/id']);
  assert.deepEqual(Object.keys(faults(OPERATIONS['job.list'], { query: { before: '\0' } })), ['query:/before']);
  const body = {
    project: 'demo',
    environments: ['ace'],
    scopes: ['job:read'],
    lifetimeSeconds: 60,
    description: 'a\0',
  };
  assert.deepEqual(Object.keys(faults(OPERATIONS['token.mint'], { body })), ['#/description']);
});

test('a body nested without end is refused before anything walks it', () => {
  let deep: unknown = 1;
  for (let i = 0; i < 200_000; i++) deep = [deep];
  const body = { name: 'x', template: 'lcls-frames', parameters: { deep } };
  assert.match(faults(OPERATIONS['stream.create'], { body })['#/'] ?? '', /nested deeper/);
});

test('an Idempotency-Key is looked at only where the operation takes one', () => {
  assert.deepEqual(faults(OPERATIONS['job.list'], { key: 'has blanks in it' }), {});
});
