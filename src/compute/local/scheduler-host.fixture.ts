/**
 * Test fixture: a process that hosts a local scheduler, so that a test can kill it with SIGKILL at any moment. Arguments:
 * state folder, prefix of keys, script file, folder for marks. Submits without end; prints each acknowledged key.
 */
import { readFileSync } from 'node:fs';
import { jobSpec } from '../scheduler.conformance.ts';
import { TEST_CLUSTER } from './local-cluster.fixture.ts';
import { openLocalScheduler } from './open-local-scheduler.ts';

const [stateDir = '', prefix = '', scriptFile = '', marks = ''] = process.argv.slice(2);
const script = readFileSync(scriptFile, 'utf8');
const scheduler = await openLocalScheduler({ ...TEST_CLUSTER, stateDir });
process.stdout.write('open\n');
for (let i = 0; i < 40; i++) {
  const key = `${prefix}-${i}`;
  const urgent = i % 4 === 3;
  await scheduler.submit(
    jobSpec({
      key,
      tier: urgent ? 'urgent' : 'batch',
      slotsPerNode: urgent ? 2 : 1,
      script,
      arguments: [`${marks}/${key}`],
    }),
  );
  process.stdout.write(`${key}\n`);
  await new Promise((resolve) => setTimeout(resolve, 15));
}
