/**
 * Whether a path that a job names lies below a root of its mapping, after resolving links. This bounds what the gateway hands on; it is no lock: between this look and the
 * job's own open the user may move things, and the job runs as that user, so the operating system's permissions are the last word. RFD 4.
 */
import { lstat, realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, normalize } from 'node:path';
import { SlurmFailure } from '../contract/index.ts';

const LONGEST_BYTES = 4095;

/**
 * The real path, links of what exists resolved; what does not exist yet follows as written. A folder that the agent may not enter (a home of mode 0700) is taken as it is
 * written, unless a link leads there. SlurmFailure `invalid`, with the field and the allowed roots in its message.
 */
export async function checkPath(field: string, path: string, roots: readonly string[]): Promise<string> {
  const fail = (why: string): SlurmFailure =>
    new SlurmFailure({
      kind: 'invalid',
      message: `${field}: ${why}; allowed are paths below ${roots.join(', ') || 'no root'}`,
    });
  if (!isAbsolute(path)) throw fail('not an absolute path');
  if (/[\u0000-\u001f\u007f]/.test(path)) throw fail('holds a control character');
  if (Buffer.byteLength(path) > LONGEST_BYTES) throw fail(`longer than ${LONGEST_BYTES} bytes`);
  // Before links are resolved nobody can say where .. leads.
  if (path.split('/').includes('..')) throw fail('holds ..');
  const real = await settle(normalize(path), fail);
  for (const root of roots) {
    const realRoot = await settle(normalize(root), fail);
    if (realRoot !== '/' && isBelow(real, realRoot)) return real;
  }
  throw fail(real === withoutSlash(normalize(path)) ? 'lies elsewhere' : 'leads elsewhere');
}

const withoutSlash = (path: string): string => (path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path);

const isBelow = (path: string, root: string): boolean => path === root || path.startsWith(`${root}/`);

/** realpath of the longest part that exists and may be entered, then the rest as written. */
async function settle(path: string, fail: (why: string) => SlurmFailure): Promise<string> {
  const rest: string[] = [];
  for (let at = withoutSlash(path); ; at = dirname(at)) {
    try {
      return join(await realpath(at), ...rest);
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      if (code === 'ELOOP') throw fail('goes round in a circle of links');
      if (code === 'ENAMETOOLONG') throw fail('a name in it is too long');
      if (code === 'ENOTDIR') throw fail('goes through something that is no folder');
      if (code !== 'ENOENT' && code !== 'EACCES') throw fail(`cannot be looked at (${code ?? 'unknown'})`);
      // A link that leads nowhere yet may lead anywhere tomorrow.
      const found = await lstat(at).catch(() => undefined);
      if (found?.isSymbolicLink() === true) throw fail('a link in it cannot be followed');
      if (at === '/') throw fail('cannot be looked at');
      rest.unshift(basename(at));
    }
  }
}
