/**
 * Entry of the runner process: one attempt of one job, like slurmstepd. It is started ahead of need, in a session of its
 * own with an empty environment, waits on stdin for one line, the attempt's folder, and lives on when the scheduler
 * dies; with no line it ends with the scheduler. SIGTERM means: read end.json. Imports are kept few for a quick start.
 */
import { runAttempt } from './run-attempt.ts';

let folder: string | undefined;
let line = '';
const attempt = { onEnd: (): void => {} };

// Nothing but the scheduler's SIGTERM ends an attempt; a spare has nothing to lose.
process.on('SIGTERM', () => (folder === undefined ? process.exit(0) : attempt.onEnd()));
process.on('SIGHUP', () => {});
process.on('SIGINT', () => {});

process.stdin.setEncoding('utf8');
process.stdin.on('data', (part: string) => {
  line += part;
  const end = line.indexOf('\n');
  if (folder !== undefined || end < 0) return;
  folder = line.slice(0, end);
  process.stdin.destroy();
  runAttempt(folder, attempt).then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`attempt ${folder}: ${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});
process.stdin.on('end', () => {
  if (folder === undefined) process.exit(0);
});
