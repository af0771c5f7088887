// Root given up by a process of its own: user, group and supplementary groups are the named user's, and there is no way back.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

const skip = process.getuid?.() === 0 ? false : 'needs root to become somebody else';
const MODULE = new URL('become-user.ts', import.meta.url).href;

/** What the process says of itself after becoming `user`; it starts with a group of root's. */
function become(user: string): unknown {
  const text = execFileSync(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { becomeUser } from ${JSON.stringify(MODULE)};
       process.setgroups([0, 4]);
       const said = {};
       try { becomeUser({ user: ${JSON.stringify(user)} }); } catch (cause) { said.refused = cause.message; }
       try { process.setuid(0); said.back = process.getuid() === 0; } catch { said.back = false; }
       const ids = [process.getuid(), process.geteuid(), process.getgid(), process.getegid()];
       process.stdout.write(JSON.stringify({ ...said, ids, groups: process.getgroups() }));`,
    ],
    { encoding: 'utf8' },
  );
  return JSON.parse(text);
}

test('root becomes the user with all of his groups, and cannot come back', { skip }, () => {
  const id = (flag: string): number => Number(execFileSync('/usr/bin/id', [flag, 'daemon'], { encoding: 'utf8' }));
  const [uid, gid] = [id('-u'), id('-g')];
  const groups = execFileSync('/usr/bin/id', ['-G', 'daemon'], { encoding: 'utf8' }).trim().split(' ').map(Number);
  assert.deepEqual(become('daemon'), { back: false, ids: [uid, uid, gid, gid], groups });
});

test('becoming root, or nobody that exists, is refused', { skip }, () => {
  for (const user of ['root', '0', 'no-such-user-here']) {
    const said = become(user) as { readonly refused?: string };
    assert.notEqual(said.refused, undefined, user);
  }
});
