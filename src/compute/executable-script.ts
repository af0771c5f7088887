/** A job may name a program in place of a script: the one script that starts it, whatever its path holds. */

/** One word of POSIX sh, whatever it holds but NUL: nothing has a meaning between single quotes except their end. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** The shell replaces itself, so that signals and the exit code are the program's own. */
export function executableScript(path: string): string {
  return `#!/bin/sh\nexec ${quoted(path)} "$@"\n`;
}
