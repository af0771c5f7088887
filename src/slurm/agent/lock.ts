/** Whether any process of the job's attempt still holds the lock in its folder: what Slurm forgot may run on. Works across hosts where the file system carries flock (NFSv4, Lustre with -o flock). */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { jobFolder } from './job-folder.ts';
import type { JobState } from './job-state.ts';

const run = promisify(execFile);

/** Exit code of flock(1) that we choose for "held". */
const HELD = 9;

/** `unknown` where flock could not tell: then nothing may be concluded. */
export async function lockOf(root: string, state: JobState): Promise<'held' | 'free' | 'absent' | 'unknown'> {
  const path = join(jobFolder(root, state), 'attempts', 'lock');
  try {
    // A shared lock needs only reading; never created here.
    await run('/usr/bin/flock', ['-n', '-s', '-E', String(HELD), path, '/bin/true'], {
      env: { PATH: '/usr/bin:/bin' },
      timeout: 10_000,
    });
    return 'free';
  } catch (cause) {
    const code = (cause as { readonly code?: unknown }).code;
    if (code === HELD) return 'held';
    // flock(1) 66: cannot open its file.
    return code === 66 ? 'absent' : 'unknown';
  }
}
