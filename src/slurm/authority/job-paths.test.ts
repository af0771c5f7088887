// A job's path: below a root after links are resolved, whatever is tried.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { SlurmFailure } from '../contract/index.ts';
import { checkPath } from './job-paths.ts';

const place = realpathSync(mkdtempSync(join(tmpdir(), 'beamway-paths-')));
chmodSync(place, 0o755);
after(() => rmSync(place, { recursive: true, force: true }));
const root = join(place, 'a');
mkdirSync(join(root, 'in'), { recursive: true });
mkdirSync(join(place, 'ab'));
mkdirSync(join(place, 'outside'));
writeFileSync(join(root, 'file'), '');
symlinkSync(join(place, 'outside'), join(root, 'out'));
symlinkSync('in', join(root, 'inner'));
symlinkSync(join(root, 'round2'), join(root, 'round1'));
symlinkSync(join(root, 'round1'), join(root, 'round2'));
symlinkSync(join(place, 'not-yet'), join(root, 'dangling'));

const invalid = (why: RegExp) => (error: unknown) =>
  error instanceof SlurmFailure && error.kind === 'invalid' && why.test(error.message);

test('what exists is given back with its links resolved, what does not follows as written', async () => {
  assert.equal(await checkPath('workDir', join(root, 'inner', 'new', 'x'), [root]), join(root, 'in', 'new', 'x'));
  assert.equal(await checkPath('workDir', `${root}//in/./`, [root]), join(root, 'in'));
  assert.equal(await checkPath('workDir', root, [root]), root);
});

test('a root may itself be a link, or not exist, or be one of several', async () => {
  const link = join(place, 'link-to-a');
  symlinkSync(root, link);
  assert.equal(await checkPath('workDir', join(link, 'in'), [link]), join(root, 'in'));
  assert.equal(
    await checkPath('workDir', join(place, 'later', 'x'), [root, join(place, 'later')]),
    join(place, 'later', 'x'),
  );
});

for (const [what, path, why] of [
  ['a relative path', 'in/x', /absolute/],
  ['two dots', `${root}/in/../in`, /holds \.\./],
  ['a NUL', `${root}/in\0/etc`, /control character/],
  ['a line break', `${root}/in\nx`, /control character/],
  ['a link out of the root', join(root, 'out', 'x'), /leads elsewhere/],
  ['a sibling that begins with the name of the root', join(place, 'ab', 'x'), /lies elsewhere/],
  ['a circle of links', join(root, 'round1', 'x'), /circle/],
  ['a link that leads nowhere yet', join(root, 'dangling'), /cannot be followed/],
  ['something below a link that leads nowhere yet', join(root, 'dangling', 'x'), /cannot be followed/],
  ['a file in the place of a folder', join(root, 'file', 'x'), /no folder/],
  ['a name of 300 characters', join(root, 'x'.repeat(300)), /too long/],
  ['a path of 5000 characters', join(root, 'x/'.repeat(2500)), /longer than/],
  ['another place', '/etc/passwd', /elsewhere/],
] as const)
  test(`refused, with field and roots: ${what}`, async () => {
    await assert.rejects(checkPath('stdoutPath', path, [root]), (error: unknown) => {
      assert.ok(invalid(why)(error), String(error));
      return String(error).includes('stdoutPath') && String(error).includes(root);
    });
  });

test('no root, or the root of everything, allows nothing', async () => {
  for (const roots of [[], ['/']]) await assert.rejects(checkPath('workDir', root, roots), invalid(/elsewhere/));
});

test('a folder that the agent may not enter is taken as written, but no link to it', {
  skip: process.getuid?.() === 0 ? false : 'needs root to become somebody else',
}, () => {
  const home = join(root, 'home');
  mkdirSync(join(home, 'data'), { recursive: true });
  chmodSync(home, 0o700);
  symlinkSync(join(home, 'data'), join(root, 'peek'));
  // The checkout may be closed to others: all modules are loaded before root is given up.
  const code = `import { checkPath } from ${JSON.stringify(join(import.meta.dirname, 'job-paths.ts'))};
    process.setgid(65534); process.setgroups([]); process.setuid(65534);
    const tell = (p) => checkPath('workDir', p, [${JSON.stringify(root)}]).catch((e) => e.message);
    console.log(JSON.stringify([await tell(${JSON.stringify(join(home, 'data', 'x'))}), await tell(${JSON.stringify(join(root, 'peek'))})]));`;
  const ran = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' });
  const [plain, link] = JSON.parse(ran.stdout) as [string, string];
  assert.equal(plain, join(home, 'data', 'x'));
  assert.match(link, /cannot be followed/);
});

test('any text at all is a path below the root or a SlurmFailure', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc
          .array(fc.constantFrom('..', '.', 'in', 'out', 'inner', 'round1', 'dangling', 'x', ''))
          .map((p) => `${root}/${p.join('/')}`),
      ),
      async (path) => {
        try {
          const real = await checkPath('workDir', path, [root]);
          assert.ok(real === root || real.startsWith(`${root}/`));
        } catch (error) {
          assert.ok(error instanceof SlurmFailure && error.kind === 'invalid', String(error));
        }
      },
    ),
    { numRuns: 300 },
  );
});
