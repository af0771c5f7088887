/**
 * A job's folder on the shared file system: `<jobsRoot>/<project>/<key>/`. Owned by the agent; the job's user may pass, read control/ and write attempts/ and work/ alone,
 * by a group that holds only him and the agent. The rename that gives the folder its name is what a submit can be found by.
 */
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { SubmitOrder } from '../contract/index.ts';
import type { JobState } from './job-state.ts';
import { shellArguments, shellAssignments } from './shell-words.ts';

const folderOf = (root: string, project: string, key: string): string => join(root, project, key);

export const jobFolder = (root: string, state: JobState): string =>
  folderOf(root, state.order.asker.project, state.order.key);

/** Makes it whole, then gives it its name. Throws where that is taken, or the disk is full: nothing is left then. */
export async function createJobFolder(root: string, state: JobState, order: SubmitOrder): Promise<void> {
  const parent = join(root, state.order.asker.project);
  await mkdir(parent, { recursive: true });
  // Users pass it and list nothing; whatever our umask is.
  await chmod(parent, 0o711);
  const fresh = join(parent, `.new-${randomBytes(8).toString('hex')}`);
  const gid = state.unix.group.gid;
  try {
    await mkdir(fresh, { mode: 0o700 });
    await Promise.all(
      (
        [
          ['', 0o750],
          ['control', 0o750],
          ['attempts', 0o2770],
          ['work', 0o2770],
        ] as const
      ).map(async ([name, mode]) => {
        if (name !== '') await mkdir(join(fresh, name), { mode: 0o700 });
        await give(join(fresh, name), gid, mode);
      }),
    );
    const control = join(fresh, 'control');
    // Together: each waits for the disk.
    await Promise.all([
      writeShared(join(control, 'script'), order.script, { gid, mode: 0o750 }),
      writeShared(join(control, 'command'), commandText(order), { gid, mode: 0o640 }),
      writeShared(join(control, 'run'), runText(order), { gid, mode: 0o640 }),
      writeShared(join(control, 'fence'), fenceText(state), { gid, mode: 0o640 }),
      order.claims.length === 0
        ? undefined
        : writeShared(join(control, 'claims'), claimsText(order.claims), { gid, mode: 0o640 }),
      writeDurably(join(control, 'job.json'), JSON.stringify(state)),
    ]);
    await rename(fresh, join(parent, order.key));
    await syncFolder(parent);
  } catch (cause) {
    await rm(fresh, { recursive: true, force: true });
    throw cause;
  }
}

export function saveJobState(root: string, state: JobState): Promise<void> {
  return writeDurably(join(jobFolder(root, state), 'control', 'job.json'), JSON.stringify(state));
}

/** Read by the wrapper under the job's lock: only the submission that stands here may run. */
export function writeFence(root: string, state: JobState): Promise<void> {
  const path = join(jobFolder(root, state), 'control', 'fence');
  return replaceShared(path, fenceText(state), state.unix.group.gid);
}

export function writeRun(root: string, state: JobState): Promise<void> {
  const path = join(jobFolder(root, state), 'control', 'run');
  return replaceShared(path, runText(state.order), state.unix.group.gid);
}

/** The newest claims are the valid ones; an ended job has none. */
export async function writeClaims(root: string, state: JobState, claims: SubmitOrder['claims']): Promise<void> {
  const path = join(jobFolder(root, state), 'control', 'claims');
  if (claims.length === 0) return rm(path, { force: true });
  await replaceShared(path, claimsText(claims), state.unix.group.gid);
}

export async function removeJobFolder(root: string, state: JobState): Promise<void> {
  const folder = jobFolder(root, state);
  const aside = join(root, state.order.asker.project, `.old-${randomBytes(8).toString('hex')}`);
  await rename(folder, aside).catch(() => undefined);
  await rm(aside, { recursive: true, force: true });
}

/** Every job that has a folder. What an interrupted submit left without a name is removed; a damaged record is told by `onDamaged` and left alone. */
export async function loadJobStates(root: string, onDamaged: (path: string) => void): Promise<readonly JobState[]> {
  const states: JobState[] = [];
  for (const project of await readdir(root, { withFileTypes: true })) {
    if (!project.isDirectory()) continue;
    for (const entry of await readdir(join(root, project.name))) {
      const folder = join(root, project.name, entry);
      if (/^\.(new|old)-/.test(entry)) {
        await rm(folder, { recursive: true, force: true });
        continue;
      }
      const path = join(folder, 'control', 'job.json');
      try {
        states.push(JSON.parse(await readFile(path, 'utf8')) as JobState);
      } catch {
        onDamaged(path);
      }
    }
  }
  return states.sort((a, b) => a.serial - b.serial);
}

function commandText(order: SubmitOrder): string {
  const own = Object.fromEntries(Object.entries(order.environment).filter(([name]) => !name.startsWith('BEAMWAY_')));
  return `${shellAssignments(own, 'export ')}${shellArguments(order.arguments)}`;
}

function runText(order: Pick<SubmitOrder, 'workDir' | 'stdoutPath' | 'stderrPath' | 'timeLimitSeconds'>): string {
  const { workDir, stdoutPath, stderrPath, timeLimitSeconds } = order;
  return shellAssignments(
    {
      ...(workDir === undefined ? {} : { work: workDir }),
      ...(stdoutPath === undefined ? {} : { stdout: stdoutPath }),
      ...(stderrPath === undefined ? {} : { stderr: stderrPath }),
      // Slurm counts minutes; what is finer, the wrapper keeps.
      ...(timeLimitSeconds % 60 === 0 ? {} : { limit: String(timeLimitSeconds) }),
    },
    '',
  );
}

const fenceText = (state: JobState): string => `${state.submissions.at(-1)?.number ?? 1} ${state.requeues}\n`;

const claimsText = (claims: SubmitOrder['claims']): string =>
  claims.map((c) => `${c.stream} ${c.url} ${c.secret}\n`).join('');

async function give(path: string, gid: number, mode: number): Promise<void> {
  await chown(path, process.getuid?.() ?? 0, gid);
  await chmod(path, mode); // after chown, which clears the set-group bit
}

interface Shared {
  readonly gid: number;
  readonly mode: number;
}

async function writeShared(path: string, text: string, { gid, mode }: Shared): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.chown(process.getuid?.() ?? 0, gid);
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function replaceShared(path: string, text: string, gid: number): Promise<void> {
  const fresh = `${path}.${randomBytes(6).toString('hex')}`;
  await writeShared(fresh, text, { gid, mode: 0o640 });
  await rename(fresh, path);
}

async function writeDurably(path: string, text: string): Promise<void> {
  const fresh = `${path}.${randomBytes(6).toString('hex')}`;
  const file = await open(fresh, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
