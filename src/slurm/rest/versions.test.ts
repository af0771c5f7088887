// Versions that no real slurmrestd here serves, against a schema-driven FAKE (test/servers/slurmrestd-fake): every field of an order arrives, with the type that version takes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FakeVersion, JOB_SCHEMAS } from '../../../test/servers/slurmrestd-fake/schemas.ts';
import { startFakeSlurmrestd } from '../../../test/servers/slurmrestd-fake/start-fake.ts';
import { systemClock } from '../../clock.ts';
import type { BatchOrder, MappedUser } from '../batch-order.ts';
import { SlurmFailure } from '../contract/index.ts';
import { openRest } from './open-rest.ts';
import { submitted } from './submit.ts';
import { negotiateVersion, VERSIONS } from './version.ts';

const BEGIN_MS = 1_800_000_000_000;
/** Everything that can be asked for. */
const ORDER: Required<BatchOrder> = {
  name: 'job',
  account: 'demo',
  qos: 'batch',
  partition: 'gpu',
  reservation: 'maint',
  script: '#!/bin/sh\n',
  environment: { PATH: '/bin', EMPTY: '' },
  comment: 'c',
  workDir: '/w',
  stdoutPath: '/o',
  stderrPath: '/e',
  nodes: 2,
  tasksPerNode: 3,
  memoryMiBPerNode: 1024,
  timeLimitMinutes: 5,
  requeue: false,
  hold: true,
  beginMs: BEGIN_MS,
  gres: 'gpu:2,ssd:1',
  constraint: 'fast',
  exclusive: true,
  container: '/c',
  array: '0-9%2',
  dependency: 'afterok:12',
};
const USER: MappedUser = {
  name: 'ada',
  uid: 1001,
  gid: 1001,
  group: { name: 'ada', gid: 1001 },
  account: 'demo',
  roots: [],
};
const flagged = (number: number) => ({ set: true, infinite: false, number });

for (const version of Object.keys(JOB_SCHEMAS) as FakeVersion[])
  test(`${version} (fake): a whole order arrives as that version takes it, and a refusal is told`, async (t) => {
    const fake = await startFakeSlurmrestd(version);
    t.after(() => fake.close());
    const rest = openRest({ url: fake.url, clock: systemClock, token: async () => 't' });
    assert.equal(await rest.submit(ORDER, USER), '101');
    assert.equal(rest.apiVersion(), version);
    assert.equal(VERSIONS[version]?.triedLive, false);
    const is39 = version === 'v0.0.39';
    assert.deepEqual(fake.submitted, [
      {
        script: '#!/bin/sh\n',
        job: {
          name: 'job',
          account: 'demo',
          qos: 'batch',
          partition: 'gpu',
          reservation: 'maint',
          comment: 'c',
          current_working_directory: '/w',
          standard_output: '/o',
          standard_error: '/e',
          open_mode: ['APPEND'],
          environment: ['PATH=/bin', 'EMPTY='],
          nodes: '2',
          tasks: 6,
          tasks_per_node: 3,
          time_limit: flagged(5),
          memory_per_node: flagged(1024),
          begin_time: is39 ? BEGIN_MS / 1000 : flagged(BEGIN_MS / 1000),
          requeue: false,
          hold: true,
          tres_per_node: is39 ? 'gres:gpu:2,gres:ssd:1' : 'gres/gpu:2,gres/ssd:1',
          constraints: 'fast',
          shared: ['none'],
          container: '/c',
          array: '0-9%2',
          dependency: 'afterok:12',
        },
      },
    ]);
    await rest.cancel('101', USER, 'USR1');
    assert.deepEqual(fake.cancelled, [`/slurm/${version}/job/101?signal=SIGUSR1`]);
    for (const status of [200, 500]) {
      fake.refuse = { status, error_number: 2066, error: 'Invalid qos specification' };
      await assert.rejects(
        rest.submit(ORDER, USER),
        (e) => e instanceof SlurmFailure && e.kind === 'unknown-tier' && e.slurmCode === 2066,
      );
    }
  });

test('what slurmrestd ignores with a warning is no success: the job is to be cancelled', () => {
  const warnings = [
    { description: 'Ignoring unknown field "gres" of type string in DATA_PARSER_JOB_DESC_MSG', source: '#/job/gres/' },
  ];
  assert.match(String(submitted({ job_id: 7, warnings }).impossible?.message), /leaves out what was asked: .*gres/);
  const other = [{ description: 'Expected OpenAPI type=object', source: '#/job/time_limit/' }, null, 'text'];
  assert.equal(submitted({ job_id: 7, warnings: other }).impossible, undefined);
});

test('of several versions the newest that both know is spoken, or the pinned one', async () => {
  const paths = Object.fromEntries(['37', '38', '40', '44', '45'].map((n) => [`/slurm/v0.0.${n}/job/submit`, {}]));
  const ask = async () => ({ paths: { ...paths, '/slurmdb/v0.0.43/jobs': {} } });
  const as = { user: 'ada', token: 't' };
  assert.equal(await negotiateVersion(ask, as, undefined), 'v0.0.44');
  assert.equal(await negotiateVersion(ask, as, 'v0.0.38'), 'v0.0.38');
  await assert.rejects(negotiateVersion(ask, as, 'v0.0.43'), /v0\.0\.43 is asked for in the agent's settings/);
});
