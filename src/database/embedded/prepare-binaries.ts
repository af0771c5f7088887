/**
 * Makes the npm-shipped PostgreSQL runnable: adds the library links that its install script would have made, and copies
 * it once to a place that the server's user can read when node_modules is out of its reach. Owns `binaries/` folders.
 */
import {
  chmodSync,
  constants,
  cpSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { z } from 'zod';
import { EmbeddedError, hasCode } from './embedded-error.ts';
import { type Binaries, whyNotRunnable } from './find-binaries.ts';
import { ensureFolder } from './folder.ts';
import type { OsUser } from './os-user.ts';

const linksSchema = z.array(z.object({ source: z.string(), target: z.string() }));

/** Library links as the package lists them: the file that exists and the link to make, both below native/. */
export function parseLinks(text: string): readonly { readonly source: string; readonly target: string }[] {
  const links = linksSchema.parse(JSON.parse(text));
  for (const path of links.flatMap((l) => [l.source, l.target])) {
    if (path !== normalize(path) || !path.startsWith('native/'))
      throw new EmbeddedError(`pg-symlinks.json names ${path}, which is outside native/`);
  }
  return links;
}

/** Adds missing links below `root` (the package's folder); links that exist stay. */
export function addLinks(root: string): void {
  const native = join(root, 'native');
  for (const { source, target } of parseLinks(readFileSync(join(native, 'pg-symlinks.json'), 'utf8'))) {
    try {
      symlinkSync(relative(dirname(join(root, target)), join(root, source)), join(root, target));
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
    }
  }
}

/**
 * Binaries that `user` can run: these, or a copy below `copiesFolder` (made by `us`, mode 0755, version-stamped).
 * Throws EmbeddedError with the reason when neither runs.
 */
export function prepareBinaries(
  binaries: Binaries,
  options: { us: OsUser; user: OsUser; copiesFolder: string },
): Binaries {
  const { us, user, copiesFolder } = options;
  const reason = whyNotRunnable(binaries, user);
  if (reason === undefined) return binaries;
  if (binaries.source === 'system') throw new EmbeddedError(`${user.name} cannot run ${binaries.binFolder}: ${reason}`);
  const root = dirname(dirname(binaries.binFolder));
  try {
    addLinks(root);
    if (whyNotRunnable(binaries, user) === undefined) return binaries;
  } catch (error) {
    if (!hasCode(error, 'EACCES', 'EROFS', 'EPERM')) throw error;
  }
  const copy = copyBinaries(root, {
    us,
    copiesFolder,
    stamp: `postgresql-${binaries.version}-${process.platform}-${process.arch}`,
  });
  const copied = { ...binaries, binFolder: join(copy, 'native', 'bin') };
  const left = whyNotRunnable(copied, user);
  if (left !== undefined)
    throw new EmbeddedError(`${user.name} cannot run the npm-shipped PostgreSQL in ${copy}: ${left}`);
  return copied;
}

function copyBinaries(root: string, options: { us: OsUser; copiesFolder: string; stamp: string }): string {
  const { us, copiesFolder, stamp } = options;
  ensureFolder(copiesFolder, us, 0o755);
  const final = join(copiesFolder, stamp);
  if (lstatSync(final, { throwIfNoEntry: false })?.isDirectory()) return final;
  const draft = mkdtempSync(join(copiesFolder, '.copy-'));
  try {
    cpSync(join(root, 'native'), join(draft, 'native'), {
      recursive: true,
      verbatimSymlinks: true,
      mode: constants.COPYFILE_FICLONE,
    });
    addLinks(draft);
    makeReadable(draft);
    renameSync(draft, final);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    // Another process made the same copy meanwhile.
    if (!hasCode(error, 'EEXIST', 'ENOTEMPTY')) throw error;
  }
  return final;
}

function makeReadable(path: string): void {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return;
  chmodSync(path, stat.isDirectory() || (stat.mode & 0o100) !== 0 ? 0o755 : 0o644);
  if (stat.isDirectory()) for (const name of readdirSync(path)) makeReadable(join(path, name));
}
