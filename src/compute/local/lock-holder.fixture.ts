/** Test fixture: tries to take the lock of a folder, says `held` or `refused`, and stays until stdin closes. */
import { lockStateFolder, StateFolderInUse } from './state-lock.ts';

try {
  lockStateFolder(process.argv[2] ?? '');
  process.stdout.write('held\n');
} catch (error) {
  if (!(error instanceof StateFolderInUse)) throw error;
  process.stdout.write('refused\n');
}
process.stdin.resume();
