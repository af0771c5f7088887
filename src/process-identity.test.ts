import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { identityOf, isAlive, signalProcess, thisBoot } from './process-identity.ts';

test('this process is alive, and a process of another start or another boot with its number is not it', () => {
  const self = identityOf(process.pid);
  assert.ok(self !== undefined);
  assert.equal(self.bootId, thisBoot());
  assert.ok(isAlive(self));
  assert.ok(!isAlive({ ...self, startTicks: self.startTicks + 1 }));
  assert.ok(!isAlive({ ...self, bootId: '00000000-0000-0000-0000-000000000000' }));
});

test('a signal reaches the process that is meant, and nobody once it is gone', async () => {
  const child = spawn('/bin/sleep', ['60'], { argv0: 'a ) (strange) name', stdio: 'ignore' });
  await once(child, 'spawn');
  const identity = identityOf(child.pid ?? 0);
  assert.ok(identity !== undefined);
  assert.ok(!signalProcess({ ...identity, startTicks: 1 }, 'SIGKILL'), 'another process is spared');
  assert.ok(signalProcess(identity, 'SIGKILL'));
  await once(child, 'exit');
  assert.ok(!isAlive(identity));
  assert.ok(!signalProcess(identity, 'SIGKILL'));
});

test('there is no identity where there is no process', () => {
  assert.equal(identityOf(2 ** 30), undefined);
});
