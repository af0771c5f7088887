import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { PROBLEMS } from '../problems.ts';
import { OPERATIONS, type Operation } from './contract/index.ts';
import { openapiDocument, openapiText } from './openapi.ts';

interface Json {
  readonly [key: string]: Json;
}
const document = openapiDocument() as unknown as Json;

function at(pointer: string): unknown {
  return pointer
    .replace(/^#\//, '')
    .split('/')
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], document);
}

function refsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, v]) => (key === '$ref' && typeof v === 'string' ? [v] : refsIn(v)));
}

test('every operation of the contract is in the document once, under its own method and path', () => {
  const found = Object.entries(document['paths'] ?? {}).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, o]) => `${String(o['operationId'])} ${method.toUpperCase()} ${path}`),
  );
  const declared = Object.values(OPERATIONS).map((o) => `${o.id} ${o.method} ${o.path}`);
  assert.deepEqual(found.sort(), declared.sort());
  assert.equal(new Set(declared.map((d) => d.slice(d.indexOf(' ')))).size, declared.length, 'no two share a route');
});

test('an operation is listed under its own id', () => {
  for (const [id, operation] of Object.entries(OPERATIONS)) assert.equal(operation.id, id);
});

test('path parameters are exactly those of the path, and each is required', () => {
  for (const [path, methods] of Object.entries(document['paths'] ?? {})) {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((m) => m[1]);
    for (const operation of Object.values(methods)) {
      const parameters = operation['parameters'] as unknown as { name: string; in: string; required: boolean }[];
      const declared = parameters.filter((p) => p.in === 'path');
      assert.deepEqual(
        declared.map((p) => p.name),
        inPath,
        path,
      );
      assert.ok(declared.every((p) => p.required));
    }
  }
});

test('every reference points at something, and every answer is described, problems included', () => {
  for (const ref of refsIn(document)) assert.notEqual(at(ref), undefined, ref);
  for (const { id, method, path, success, native } of Object.values<Operation>(OPERATIONS)) {
    const responses = document['paths']?.[path]?.[method.toLowerCase()]?.['responses'];
    assert.ok(responses?.[String(success)] !== undefined, id);
    const [type, schema] = native === 'oauth' ? ['json', 'OauthError'] : ['problem+json', 'Problem'];
    const problem = responses?.['default']?.['content']?.[`application/${type}`]?.['schema']?.['$ref'];
    assert.equal(String(problem), `#/components/schemas/${schema}`, id);
  }
});

test('every problem code is listed', () => {
  const codes = document['components']?.['schemas']?.['Problem']?.['x-beamway-codes'];
  assert.deepEqual(codes, Object.keys(PROBLEMS));
});

test('only what is open to everybody goes without a bearer', () => {
  for (const { id, method, path, action } of Object.values(OPERATIONS)) {
    const security = document['paths']?.[path]?.[method.toLowerCase()]?.['security'] as unknown as unknown[];
    assert.equal(security.length === 0, action === 'none', id);
  }
});

test('the committed document is the one that is served', () => {
  assert.equal(readFileSync(new URL('../../docs/reference/openapi.json', import.meta.url), 'utf8'), openapiText());
  assert.match(String(document['openapi']), /^3\.1\./);
});
