/**
 * Reads a file that decides over rights: the mapping, the signer's settings, the key. Whoever may write it, or replace it in its folder, holds those rights, so nobody but
 * root and the process's own user may. Looked at through the open file, so that what is checked is what is read. RFD 4.
 */
import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { dirname, isAbsolute } from 'node:path';

export interface OwnFileRules {
  /** Bits of the mode that must not be set. */
  readonly forbiddenMode: number;
  readonly owners: readonly number[];
  readonly largestBytes: number;
}

/** Others may read it, none but root and we may write it. */
export const WRITTEN_BY_OWNER_ONLY = 0o022;
/** Nobody else may even read it. */
export const SECRET = 0o077;

/** Throws Error with a plain reason: meant to end the start of a process. */
export async function readOwnFile(path: string, rules: OwnFileRules): Promise<Buffer> {
  if (!isAbsolute(path)) throw new Error(`${path}: not an absolute path`);
  const folder = await stat(dirname(path));
  if ((folder.mode & 0o022) !== 0 && (folder.mode & 0o1000) === 0)
    throw new Error(`${dirname(path)} is writable by its group or others: they could replace ${path}`);
  if (folder.uid !== 0 && !rules.owners.includes(folder.uid))
    throw new Error(`${dirname(path)} belongs to user ${folder.uid}, who could replace ${path}`);
  // O_NONBLOCK: a fifo in its place must not make us wait.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new Error(`${path} is no regular file`);
    if (!rules.owners.includes(found.uid))
      throw new Error(`${path} belongs to user ${found.uid}; it must belong to user ${rules.owners.join(' or ')}`);
    if ((found.mode & rules.forbiddenMode) !== 0)
      throw new Error(
        `${path} has mode ${(found.mode & 0o777).toString(8)}; ${rules.forbiddenMode === SECRET ? 'nobody but its owner may read or write it' : 'only its owner may write it'}`,
      );
    if (found.size > rules.largestBytes) throw new Error(`${path} is larger than ${rules.largestBytes} bytes`);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(rules.largestBytes + 1), 0, rules.largestBytes + 1, 0);
    if (bytesRead > rules.largestBytes) throw new Error(`${path} is larger than ${rules.largestBytes} bytes`);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Of a process that trusts root and itself. */
export const ownUids = (): readonly number[] => [...new Set([0, process.getuid?.() ?? 0])];
