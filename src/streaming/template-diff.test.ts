// Two versions of templates, and live streams made from an earlier one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeaseTerms } from './stream.ts';
import { testTemplate } from './template.fixture.ts';
import { diffTemplates, staleStreams } from './template-diff.ts';

test('templates that were added, removed or changed are told, each difference by its path', () => {
  const { parameters } = testTemplate();
  const before = [testTemplate(), testTemplate({ name: 'gone' }), testTemplate({ name: 'same' })];
  const after = [
    testTemplate({ name: 'same', title: 'Another title' }),
    testTemplate({ name: 'new' }),
    testTemplate({
      maxConnections: 8,
      parameters: { ...parameters, bufferBytes: { ...parameters.bufferBytes, max: 5000 }, queues: ONE },
    }),
  ];
  assert.deepEqual(diffTemplates(before, after), [
    {
      template: 'frames',
      kind: 'changed',
      differences: [
        'maxConnections: 4 -> 8',
        'parameters.bufferBytes.max: 10000 -> 5000',
        'parameters.queues.default: absent -> 1',
        'parameters.queues.max: absent -> 1',
        'parameters.queues.min: absent -> 1',
      ],
    },
    { template: 'gone', kind: 'removed', differences: [] },
    { template: 'new', kind: 'added', differences: [] },
  ]);
  assert.deepEqual(diffTemplates(before, JSON.parse(JSON.stringify(before)) as typeof before), []);
});

const ONE = { default: 1, min: 1, max: 1 };

test('a live stream whose lease has other terms than its template is told, one of an old version by what it states', () => {
  const { parameters: _, name: __, title: ___, tls: ____, ...terms } = testTemplate();
  const lease = { ...terms, tls: false, bufferBytes: 1000, externalAddresses: [], consumerListens: [] } as LeaseTerms;
  const templates = new Map([['frames', testTemplate({ overflow: 'drop-oldest', tls: 'required' })]]);
  const one = { id: 'str_1', project: 'demo', template: 'frames', lease };
  const { mode: _____, kind: ______, tls: _______, ...old } = { ...lease, overflow: 'drop-oldest' } as LeaseTerms;
  assert.deepEqual(
    staleStreams([one, { ...one, id: 'str_2', template: 'gone' }, { ...one, id: 'str_3', lease: old }], templates),
    [
      {
        ...{ stream: 'str_1', project: 'demo', template: 'frames' },
        differences: ['overflow: wait -> drop-oldest', 'tls: off -> required'],
      },
      { stream: 'str_2', project: 'demo', template: 'gone', differences: ['the template is no longer there'] },
    ],
  );
});
