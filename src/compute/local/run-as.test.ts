/** Jobs as another user: they reach their own files and not the cluster's. Needs root. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { jobSpec, untilEnded } from '../scheduler.conformance.ts';
import { TEST_CLUSTER } from './local-cluster.fixture.ts';
import { openLocalScheduler } from './open-local-scheduler.ts';

const NOBODY = { uid: 65_534, gid: 65_534 };

describe('local jobs as another user', {
  skip: process.getuid?.() === 0 ? false : 'only root can start processes as another user',
}, () => {
  it('run as that user, in a folder of theirs, and cannot read the record of a job', async (context) => {
    const root = mkdtempSync(join(tmpdir(), 'beamway-run-as-'));
    const options = { ...TEST_CLUSTER, stateDir: join(root, 'state'), runAs: NOBODY };
    await assert.rejects(
      openLocalScheduler(options),
      /user 65534 cannot enter .*beamway-run-as/,
      'the temporary folder is 0700',
    );
    chmodSync(root, 0o711);
    const scheduler = await openLocalScheduler(options);
    context.after(async () => {
      await scheduler.closeAndEndJobs();
      await rm(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    });
    const script =
      '#!/bin/sh\nid -u\nid -G\necho made > here && cat here\nls "$(dirname "$PWD")" 2>&1 >/dev/null | grep -c denied\ncat ../job.json 2>&1 >/dev/null | grep -c denied\n';
    const ended = await untilEnded(scheduler, (await scheduler.submit(jobSpec({ script }))).nativeId);
    assert.equal(await readFile(ended.attempts[0]?.stdoutPath ?? '', 'utf8'), '65534\n65534\nmade\n1\n1\n');
    assert.equal(ended.state, 'completed');
  });

  it('are refused where they could not enter the state folder', async (context) => {
    const root = mkdtempSync(join(tmpdir(), 'beamway-run-as-'));
    context.after(() => rm(root, { recursive: true, force: true }));
    mkdirSync(join(root, 'state'));
    await assert.rejects(
      openLocalScheduler({ ...TEST_CLUSTER, stateDir: join(root, 'state'), runAs: NOBODY }),
      /choose another state folder/,
    );
  });
});
