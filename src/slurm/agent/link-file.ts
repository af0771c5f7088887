/** Reads link.json. A file that others may read is refused like one that is not there: its bearer is not only ours any more. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { type LinkFile, linkFileSchema } from '../contract/index.ts';

const LONGEST_BYTES = 64 * 1024;

/** Undefined, and a line in the log, where it cannot be used. */
export function readLinkFile(path: string, log: { warn(fields: object, text: string): void }): LinkFile | undefined {
  try {
    const fd = openSync(path, 'r');
    try {
      const { mode, size } = fstatSync(fd);
      if ((mode & 0o077) !== 0) throw new Error(`${path} may be used by others; make it 0600 and a new bearer`);
      if (size > LONGEST_BYTES) throw new Error(`${path} is longer than ${LONGEST_BYTES} bytes`);
      return linkFileSchema.parse(JSON.parse(readFileSync(fd, 'utf8')));
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    // A JSON fault quotes the text, and with it the bearer.
    const why = cause instanceof SyntaxError ? 'it is no JSON' : cause;
    log.warn({ path, err: why }, 'the link file cannot be used');
    return undefined;
  }
}
