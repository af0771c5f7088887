/** Reads a file of a site, 8 MiB at most. SlurmFailure: not-found, invalid. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { SlurmFailure } from '../contract/index.ts';

const LARGEST_BYTES = 8 * 1024 * 1024;

export async function readBounded(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: NodeJS.ErrnoException) => {
    throw new SlurmFailure(
      { kind: 'not-found', message: `${path} cannot be read (${cause.code ?? 'unknown'})` },
      { cause },
    );
  });
  try {
    const facts = await file.stat();
    if (!facts.isFile() || facts.size > LARGEST_BYTES)
      throw new SlurmFailure({ kind: 'invalid', message: `${path}: a regular file of at most ${LARGEST_BYTES} bytes` });
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}
