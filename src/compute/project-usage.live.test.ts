/** Node-hours where the scheduler names nodes without slots, as Slurm does, beside a local cluster that names both. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { sql } from 'kysely';
import { testDatabase } from '../database/testing.ts';
import type { Facility } from '../facility/index.ts';
import { MIGRATIONS } from '../migrations.ts';
import { projectUsage } from './project-usage.ts';

const HOUR = 3_600_000;
const clusters: Facility['clusters'] = [
  { name: 'local', scheduler: 'local', nodes: [{ name: 'n1', slots: 4 }] },
  { name: 'shared', scheduler: 'slurm', slotsPerNode: 8 },
  { name: 'whole', scheduler: 'slurm' },
];

test('a placement without slots counts the job’s slots of the cluster’s nodes, or each node whole', async () => {
  const { database } = await testDatabase({ after }, MIGRATIONS);
  const db = database.kysely;
  const placements: Readonly<Record<string, object[]>> = {
    local: [{ node: 'n1', slots: [0, 1] }],
    shared: [
      { node: 'c1', slots: [] },
      { node: 'c2', slots: [] },
    ],
    whole: [
      { node: 'c1', slots: [] },
      { node: 'c2', slots: [] },
    ],
  };
  for (const [cluster, placement] of Object.entries(placements)) {
    const at = new Date(HOUR);
    await sql`insert into compute_job (id, project, environment, cluster, spec, state, reason, submitted_by, subject, submitted_at, updated_at)
      values (${cluster}, 'demo', 'ace', ${cluster}, ${JSON.stringify({ slotsPerNode: 2 })}, 'completed', '', 'tok', 'ada', ${at}, ${at})`.execute(
      db,
    );
    await sql`insert into compute_attempt (job, attempt, started_at, ended_at, placement, stdout_path, stderr_path)
      values (${cluster}, 1, ${at}, ${new Date(2 * HOUR)}, ${JSON.stringify(placement)}, '', '')`.execute(db);
  }
  const usage = await projectUsage({ db, facility: { clusters } }, { project: 'demo', since: 0, until: 3 * HOUR });
  assert.deepEqual(
    usage.map((u) => [u.cluster, u.nodeHours, u.attempts]),
    [
      ['local', 0.5, 1],
      ['shared', 0.5, 1],
      ['whole', 2, 1],
    ],
  );
});
