/**
 * Opens a file for reading below a folder of the agent's, where lower folders are a job's user's, who may swap any of them for a link at any moment. Each component is
 * held open before the next one is looked up below it (/proc/self/fd), none is followed as a link, and nothing but a regular file is ever opened for reading. RFD 4.
 */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { SlurmFailure } from '../contract/index.ts';

/** Linux, missing in node:fs: names a file without opening it, so that a fifo or device is only looked at. Same number on x86-64 and arm64. */
const O_PATH = 0o10000000;
const LOOK = O_PATH | constants.O_NOFOLLOW;

export interface OpenRules {
  /** User ids that the file may belong to. */
  readonly owners: readonly number[];
}

/**
 * `dir`: only the agent may rename it. `parts`: one name each. Undefined where the file or a folder on the way is absent.
 * SlurmFailure `refused`: a link, anything but a folder on the way or a regular file at the end, a foreign owner, a second hard link, or not readable. The caller closes it.
 */
export async function openBelow(
  dir: string,
  parts: readonly string[],
  { owners }: OpenRules,
): Promise<FileHandle | undefined> {
  const name = parts.at(-1);
  if (name === undefined || parts.some((p) => p === '' || p === '.' || p === '..' || /[/\0]/.test(p)))
    throw refused(`${JSON.stringify(parts)} is no list of file names`);
  const shown = parts.join('/');
  const held: FileHandle[] = [];
  const look = async (path: string, flags: number): Promise<FileHandle | undefined> => {
    try {
      const handle = await open(path, flags);
      held.push(handle);
      return handle;
    } catch (cause) {
      if (codeOf(cause) === 'ENOENT') return undefined;
      throw refused(`${shown} cannot be opened (${codeOf(cause)})`, cause);
    }
  };
  try {
    let folder = await look(dir, LOOK | constants.O_DIRECTORY);
    for (const part of parts.slice(0, -1)) {
      if (folder === undefined) return undefined;
      folder = await look(below(folder, part), LOOK | constants.O_DIRECTORY);
    }
    if (folder === undefined) return undefined;
    const found = await look(below(folder, name), LOOK);
    if (found === undefined) return undefined;
    const facts = await found.stat();
    // Removed since.
    if (facts.nlink === 0) return undefined;
    const fault = faultOf(facts, owners);
    if (fault !== undefined) throw refused(`${shown} ${fault}`);
    // Opens the very file that was looked at, whatever its name means by now.
    return await open(`/proc/self/fd/${found.fd}`, constants.O_RDONLY | constants.O_NONBLOCK).catch(
      (cause: unknown) => {
        throw refused(`${shown} cannot be read (${codeOf(cause)})`, cause);
      },
    );
  } finally {
    for (const handle of held) await handle.close();
  }
}

function faultOf(facts: Stats, owners: readonly number[]): string | undefined {
  if (facts.isSymbolicLink()) return 'is a link';
  if (!facts.isFile()) return 'is no regular file';
  if (!owners.includes(facts.uid)) return `belongs to user ${facts.uid}`;
  if (facts.nlink !== 1) return 'has a second name';
  return undefined;
}

const below = (folder: FileHandle, name: string): string => `/proc/self/fd/${folder.fd}/${name}`;
const codeOf = (cause: unknown): string => (cause as NodeJS.ErrnoException).code ?? 'unknown';
const refused = (message: string, cause?: unknown): SlurmFailure =>
  new SlurmFailure({ kind: 'refused', message }, { cause });
