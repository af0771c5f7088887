import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isCidr } from '../address-list.ts';
import { LISTENING, testTemplate } from './template.fixture.ts';
import { checkParameters, templateSchema } from './template.ts';

const pointersOf = (checked: ReturnType<typeof checkParameters>): readonly string[] =>
  'errors' in checked ? checked.errors.map((e) => e.pointer) : [];

test('parameters that are left out take their defaults', () => {
  assert.deepEqual(checkParameters(testTemplate(), {}), {
    parameters: {
      bufferBytes: 1000,
      lifetimeSeconds: 60,
      externalAddresses: ['127.0.0.0/8'],
      consumerListens: [],
      queues: 1,
      bytesPerSecond: 0,
      messagesPerSecond: 0,
      byteQuota: 0,
      messageQuota: 0,
    },
  });
});

test('every fault of the parameters is named at once, with its bound', () => {
  const checked = checkParameters(testTemplate(), {
    bufferBytes: 99,
    lifetimeSeconds: '60',
    externalAddresses: ['10.0.0.0/33'],
    consumerListens: ['tcp://127.0.0.1:5555'],
    colour: 'red',
  });
  assert.deepEqual(pointersOf(checked), [
    '#/parameters/consumerListens',
    '#/parameters/colour',
    '#/parameters/bufferBytes',
    '#/parameters/lifetimeSeconds',
    '#/parameters/externalAddresses',
  ]);
  assert.match('errors' in checked ? (checked.errors[2]?.detail ?? '') : '', /from 100 to 10000/);
});

test('a name every object inherits is an unknown parameter like any other', () => {
  for (const name of ['constructor', 'toString', '__proto__']) {
    const given = JSON.parse(`{"${name}": 1}`) as Record<string, unknown>;
    assert.deepEqual(pointersOf(checkParameters(testTemplate(), given)), [`#/parameters/${name}`]);
  }
});

test('a template whose consumer listens wants an endpoint, numeric and with a port', () => {
  const listening = testTemplate(LISTENING);
  const faults = (consumerListens: unknown, externalAddresses = ['127.0.0.0/8', '::1']): number =>
    pointersOf(checkParameters(listening, { consumerListens, externalAddresses })).length;
  assert.equal(faults(['tcp://127.0.0.1:5555']), 0);
  assert.equal(faults(['tcp://[::1]:5555']), 0);
  assert.equal(faults([]), 1);
  assert.equal(faults(['tcp://127.0.0.1:5555'], ['127.0.0.2/32']), 1, 'the node connects to listed addresses only');
  for (const endpoint of [
    'tcp://localhost:5555',
    'tcp://127.0.0.1:0',
    'tcp://127.0.0.1:65536',
    'tcp://127.0.0.1',
    'tcp://[127.0.0.1]:1',
    'tcp://::1:5555',
    'ipc:///tmp/x',
    'tcp://*:5555',
    'tcp://127.0.0.1:5555\n',
  ])
    assert.ok(faults([endpoint]) > 0, endpoint);
});

const anyValue = fc.oneof(
  fc.integer(),
  fc.integer({ min: 0, max: 20_000 }),
  fc.double(),
  fc.string(),
  fc.array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant('10.0.0.0/8'), fc.string()), { maxLength: 5 }),
  fc.anything(),
);
const anyGiven = fc.record(
  {
    bufferBytes: anyValue,
    lifetimeSeconds: anyValue,
    externalAddresses: anyValue,
    consumerListens: anyValue,
    other: anyValue,
  },
  { requiredKeys: [] },
);

test('whatever is given, what is accepted lies within the bounds', () => {
  fc.assert(
    fc.property(anyGiven, fc.boolean(), (given, listens) => {
      const template = testTemplate(listens ? LISTENING : {});
      const checked = checkParameters(template, given);
      if ('errors' in checked) {
        assert.ok(checked.errors.length > 0);
        return;
      }
      const { bufferBytes, lifetimeSeconds, externalAddresses, consumerListens } = checked.parameters;
      for (const [value, { min, max }] of [
        [bufferBytes, template.parameters.bufferBytes],
        [lifetimeSeconds, template.parameters.lifetimeSeconds],
      ] as const)
        assert.ok(Number.isSafeInteger(value) && value >= min && value <= max);
      assert.ok(externalAddresses.length <= 3 && externalAddresses.every(isCidr));
      assert.equal(consumerListens.length > 0, listens);
      assert.ok(!Object.hasOwn(given, 'other'));
    }),
    { numRuns: 1000 },
  );
});

test('an address with a prefix length is read strictly', () => {
  for (const good of ['127.0.0.1', '10.0.0.0/8', '0.0.0.0/0', '1.2.3.4/32', '::1', '2001:db8::/32', '::/128'])
    assert.ok(isCidr(good), good);
  for (const bad of [
    '',
    '/8',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10.0.0/8',
    '::/129',
    '10.0.0.0/1e1',
    '10.0.0.0/ 8',
    'host',
    '256.1.1.1',
    '10.0.0.0/0x8',
  ])
    assert.ok(!isCidr(bad), bad);
});

test('a template that contradicts itself is refused', () => {
  const faulty = (change: object): boolean => !templateSchema.safeParse({ ...testTemplate(), ...change }).success;
  const { parameters } = testTemplate();
  assert.ok(!faulty({}));
  assert.ok(!faulty(LISTENING));
  assert.ok(faulty({ admission: 'address' }), 'redeliver needs a credential');
  assert.ok(faulty({ consumer: 'listen' }), 'a listening consumer needs admission by address');
  assert.ok(faulty({ ...LISTENING, parameters }), 'a listening consumer needs the parameter that names it');
  assert.ok(
    faulty({ parameters: { ...parameters, bufferBytes: { default: 1, min: 2, max: 3 } } }),
    'default below min',
  );
  assert.ok(
    faulty({ parameters: { ...parameters, bufferBytes: { default: 4, min: 2, max: 3 } } }),
    'default above max',
  );
  assert.ok(faulty({ maxConnections: 0 }));
  assert.ok(faulty({ surprise: true }));
});
