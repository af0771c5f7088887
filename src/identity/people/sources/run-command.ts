/** Runs one program of people.yaml: its argv as it stands, no shell, a plain environment, a time limit, bounded output. */
import { execFile } from 'node:child_process';

const MOST_BYTES = 64 * 1024 * 1024;
const PLAIN = { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C.UTF-8' };

/** Resolves to its standard output. Rejects with the end of what it said on standard error where it fails or takes too long. */
export function runCommand(
  argv: readonly string[],
  how: { readonly timeoutMs: number; readonly input?: string },
): Promise<string> {
  const [program = '', ...rest] = argv;
  return new Promise((resolve, reject) => {
    const options = {
      env: PLAIN,
      timeout: how.timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: MOST_BYTES,
      windowsHide: true,
    } as const;
    const child = execFile(program, rest, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const why =
        error.killed === true
          ? `took longer than ${how.timeoutMs / 1000} s or said too much`
          : `ended with ${String(error.code)}`;
      reject(new Error(`${program} ${why}: ${stderr.trim().slice(-300)}`));
    });
    // A program that reads nothing closes its end first.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(how.input ?? '');
  });
}
