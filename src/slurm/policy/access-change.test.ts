// What is written for a grant and a withdrawal, and that nothing is where it is so already. The real thing stands in open-policy.live.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessChange } from './access-change.ts';
import type { AccessRow } from './parse-qos.ts';

const row = (tiers: string[], more: Partial<AccessRow> = {}): AccessRow => ({
  account: 'demo',
  partition: '',
  tiers,
  ...more,
});
const change = (rows: AccessRow[], wanted: boolean): string[] =>
  accessChange({ cluster: 'lab' }, rows, { tier: 'bw-w', wanted }).map((c) => c.join(' '));

test('a grant is one change of the account, or none', () => {
  assert.deepEqual(change([row(['batch'])], true), ['modify account demo cluster=lab set qos+=bw-w']);
  assert.deepEqual(change([row(['batch', 'bw-w']), row(['batch'], { user: 'ada' })], true), []);
});

test('a withdrawal begins at the account, clears a default first, and ends at whoever still has it', () => {
  const users = [row(['bw-w'], { user: 'ada', defaultTier: 'bw-w' }), row(['batch'], { user: 'bo' })];
  assert.deepEqual(change([row(['bw-w'], { defaultTier: 'bw-w' }), ...users], false), [
    'modify account demo cluster=lab set defaultqos=-1',
    'modify account demo cluster=lab set qos-=bw-w',
  ]);
  assert.deepEqual(change([row(['batch']), ...users, row(['bw-w'], { user: 'cy', partition: 'gpu' })], false), [
    'modify user where name=ada account=demo cluster=lab set defaultqos=-1',
    'modify user where name=ada account=demo cluster=lab set qos-=bw-w',
    'modify user where name=cy account=demo cluster=lab partition=gpu set qos-=bw-w',
  ]);
  assert.deepEqual(change([row(['batch']), row(['batch'], { user: 'ada' })], false), []);
});
