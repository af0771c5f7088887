/** The supervisor's lock: one holder among many contenders, dead holders do not count. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { lockHolder, takeLock } from './lock.ts';
import { bootId, identityOf } from './process-identity.ts';
import { atEnd, temporaryFolder } from './supervisor-process.ts';

test('a living holder keeps others out until it lets go', (t) => {
  const folder = temporaryFolder(t);
  const lock = takeLock(folder);
  assert.equal(lockHolder(folder)?.pid, process.pid);
  assert.throws(() => takeLock(folder), new RegExp(`in use by process ${process.pid}`));
  lock.release();
  lock.release();
  assert.equal(lockHolder(folder), undefined);
  takeLock(folder).release();
  assert.equal(readdirSync(folder).length, 1, 'one file is left, however often the lock was taken');
});

test('a holder that is gone, began at another time, was of another boot or wrote rubbish does not count', (t) => {
  const us = identityOf(process.pid) ?? assert.fail();
  const stale = [
    JSON.stringify({ pid: 2 ** 22 + 1, startTicks: 1, bootId: bootId() }),
    JSON.stringify({ ...us, startTicks: us.startTicks - 1 }),
    JSON.stringify({ ...us, bootId: 'another' }),
    '{"released":true}',
    '{"pid":',
    '',
    'null',
  ];
  for (const text of stale) {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'supervisor.7.lock'), text);
    const lock = takeLock(folder);
    assert.deepEqual(readdirSync(folder), ['supervisor.8.lock']);
    lock.release();
  }
});

test('of many processes that find a stale lock at once, one gets it', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'supervisor.3.lock'), '{"released":true}');
  const module = JSON.stringify(new URL('lock.ts', import.meta.url).href);
  const program = join(folder, 'contender.mjs');
  writeFileSync(
    program,
    `import { takeLock } from ${module};
     process.on('disconnect', () => process.exit());
     process.channel.ref();
     process.send('there');
     process.on('message', () => { try { takeLock(process.argv[2]); process.send('got'); } catch (e) { process.send(e.message); } });`,
  );
  const contenders = Array.from({ length: 6 }, () => fork(program, [folder], { execArgv: [] }));
  atEnd(t, () => {
    for (const child of contenders) child.kill('SIGKILL');
  });
  const next = (index: number): Promise<unknown> =>
    new Promise((resolve) => contenders[index]?.once('message', resolve));
  await Promise.all(contenders.map((_, i) => next(i)));
  const answers = contenders.map((_, i) => next(i));
  for (const child of contenders) child.send('go');
  const said = await Promise.all(answers);
  assert.equal(said.filter((a) => a === 'got').length, 1);
  assert.equal(said.filter((a) => String(a).includes('in use by process')).length, 5);
});
