// Reading below a folder whose owner is against us: links, fifos, hard links, foreign files, and swaps while we look.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { SlurmFailure } from '../contract/index.ts';
import { openBelow } from './safe-open.ts';

const place = mkdtempSync(join(tmpdir(), 'beamway-open-'));
after(() => rmSync(place, { recursive: true, force: true }));
const me = process.getuid?.() ?? 0;
const mine = { owners: [me] };
const attempts = join(place, 'attempts');
mkdirSync(join(attempts, 't0', '1'), { recursive: true });
writeFileSync(join(attempts, 't0', '1', 'stdout'), 'good');
mkdirSync(join(place, 'secret', '1'), { recursive: true });
writeFileSync(join(place, 'secret', '1', 'stdout'), 'secret');

const refused = (why: RegExp) => (error: unknown) =>
  error instanceof SlurmFailure && error.kind === 'refused' && why.test(error.message);

async function textOf(...parts: string[]): Promise<string | undefined> {
  const file = await openBelow(attempts, parts, mine);
  try {
    return await file?.readFile('utf8');
  } finally {
    await file?.close();
  }
}

test('a regular file of the right owner is read; what is absent at any level is undefined', async () => {
  assert.equal(await textOf('t0', '1', 'stdout'), 'good');
  for (const parts of [
    ['t0', '1', 'stderr'],
    ['t0', '9', 'stdout'],
    ['t9', '1', 'stdout'],
  ])
    assert.equal(await textOf(...parts), undefined);
  assert.equal(await openBelow(join(place, 'none'), ['x'], mine), undefined);
});

test('a name is one name', async () => {
  for (const parts of [[], [''], ['.'], ['..', 'secret'], ['t0/1/stdout'], ['x\0']])
    await assert.rejects(openBelow(attempts, parts, mine), refused(/no list of file names/));
});

test('a link at each level is refused, wherever it leads', async () => {
  symlinkSync(join(place, 'secret'), join(attempts, 't1'));
  await assert.rejects(textOf('t1', '1', 'stdout'), refused(/ENOTDIR|ELOOP/));
  mkdirSync(join(attempts, 't2'));
  symlinkSync(join(place, 'secret', '1'), join(attempts, 't2', '1'));
  await assert.rejects(textOf('t2', '1', 'stdout'), refused(/ENOTDIR|ELOOP/));
  mkdirSync(join(attempts, 't3', '1'), { recursive: true });
  symlinkSync(join(attempts, 't0', '1', 'stdout'), join(attempts, 't3', '1', 'stdout'));
  await assert.rejects(textOf('t3', '1', 'stdout'), refused(/is a link/));
  symlinkSync(attempts, join(place, 'attempts-link'));
  await assert.rejects(openBelow(join(place, 'attempts-link'), ['t0', '1', 'stdout'], mine), refused(/ENOTDIR|ELOOP/));
});

test('a fifo does not make us wait, a folder, a device and a socket’s like are not opened', async () => {
  mkdirSync(join(attempts, 'odd'));
  execFileSync('/usr/bin/mkfifo', [join(attempts, 'odd', 'fifo')]);
  await assert.rejects(textOf('odd', 'fifo'), refused(/no regular file/));
  await assert.rejects(textOf('t0', '1'), refused(/no regular file/));
  await assert.rejects(textOf('t0', '1', 'stdout', 'x'), refused(/ENOTDIR/));
  await assert.rejects(openBelow('/dev', ['null'], { owners: [0] }), refused(/no regular file/));
});

test('a second name of a foreign file, and a foreign file, are refused', async () => {
  mkdirSync(join(attempts, 'hard'));
  linkSync(join(place, 'secret', '1', 'stdout'), join(attempts, 'hard', 'stdout'));
  await assert.rejects(textOf('hard', 'stdout'), refused(/second name/));
  rmSync(join(attempts, 'hard', 'stdout'));
  await assert.rejects(openBelow(attempts, ['t0', '1', 'stdout'], { owners: [me + 1] }), refused(/belongs to user/));
  if (me !== 0) return;
  writeFileSync(join(attempts, 'hard', 'foreign'), '');
  chownSync(join(attempts, 'hard', 'foreign'), 1, 1);
  await assert.rejects(textOf('hard', 'foreign'), refused(/belongs to user 1$/));
});

test('folders swapped for links while we look never give the other file, and no handle is left open', async () => {
  const swapped = join(attempts, 'swap');
  mkdirSync(join(swapped, '1'), { recursive: true });
  writeFileSync(join(swapped, '1', 'stdout'), 'good');
  const code = `const { renameSync, symlinkSync, unlinkSync } = require('node:fs');
    const [dir, secret] = process.argv.slice(1);
    const swap = (at, to) => { renameSync(at, at + '.real'); symlinkSync(to, at); unlinkSync(at); renameSync(at + '.real', at); };
    process.stdout.write('x');
    for (;;) { swap(dir, secret); swap(dir + '/1', secret + '/1'); swap(dir + '/1/stdout', secret + '/1/stdout'); }`;
  const child = spawn(process.execPath, ['-e', code, swapped, join(place, 'secret')], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const open = (): number => readdirSync('/proc/self/fd').length;
  await once(child.stdout, 'data');
  const before = open();
  const seen = { good: 0, absent: 0, refused: 0 };
  try {
    for (let i = 0; i < 2000 || (seen.refused === 0 && i < 50_000); i++)
      try {
        const text = await textOf('swap', '1', 'stdout');
        assert.notEqual(text, 'secret');
        seen[text === 'good' ? 'good' : 'absent'] += 1;
      } catch (error) {
        assert.ok(refused(/./)(error), String(error));
        seen.refused += 1;
      }
  } finally {
    child.kill('SIGKILL');
    await once(child, 'close');
  }
  assert.ok(seen.good > 0 && seen.refused + seen.absent > 0, JSON.stringify(seen));
  assert.ok(open() <= before);
});
