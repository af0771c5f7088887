/**
 * Writes a secret that is shown once to a file that only its owner can read, whole or not at all; an earlier file of that name is replaced. With
 * `withSecretFile` the place is tried before the secret is asked for, so that a wrong path costs nothing.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { CommandError, EXIT } from './context.ts';

interface SecretFile {
  put(value: string): void;
  close(): void;
}

/** Runs `work`, which hands the secret to `put`. Without a path, `put` does nothing. */
export async function withSecretFile<T>(
  path: string | undefined,
  work: (put: (value: string) => void) => Promise<T>,
): Promise<T> {
  if (path === undefined) return work(() => undefined);
  const file = openSecret(path);
  try {
    return await work(file.put);
  } finally {
    file.close();
  }
}

/** Of a secret that is at hand already. */
export function writeSecret(path: string, value: string): void {
  const file = openSecret(path);
  try {
    file.put(value);
  } finally {
    file.close();
  }
}

function openSecret(path: string): SecretFile {
  const fresh = `${path}.${process.pid}.new`;
  const file = tried(path, EXIT.usage, () => openSync(fresh, 'wx', 0o600));
  return {
    put: (value) =>
      tried(`${path}: the value is lost, revoke what it belongs to; the file`, EXIT.failed, () => {
        writeSync(file, `${value}\n`);
        fsyncSync(file);
        renameSync(fresh, path);
      }),
    close() {
      closeSync(file);
      rmSync(fresh, { force: true });
    },
  };
}

function tried<T>(what: string, exitCode: number, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CommandError(`${what} cannot be written: ${reason}`, exitCode);
  }
}
