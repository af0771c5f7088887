// The Slurm adapter, the link, the agent and the signer, each in its own process as its own Unix user, on a real Slurm 22.05: what every scheduler must do.
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type ApiServer, fileScope, startApiServer } from '../../../test/flows/api-server.ts';
import { unixUser } from '../../../test/servers/slurm/configure.ts';
import { whyNoSlurm } from '../../../test/servers/slurm/packages.ts';
import { startAgent } from '../../../test/servers/slurm/start-agent.ts';
import { type SlurmServer, startSlurm } from '../../../test/servers/slurm/start-slurm.ts';
import { systemClock } from '../../clock.ts';
import { issueAgentBearer } from '../../identity/index.ts';
import { type SchedulerUnderTest, schedulerConformance } from '../scheduler.conformance.ts';
import type { Scheduler } from '../scheduler.ts';

const CLUSTER = 'lab';
const why = whyNoSlurm();
let whole: Promise<{ readonly place: string; readonly slurm: SlurmServer; readonly server: ApiServer }> | undefined;
let opened = 0;
// Of the whole file, not of the test that happens to need it first.
const scope = fileScope();

async function begin() {
  const place = mkdtempSync(join(tmpdir(), 'beamway-slurm-conformance-'));
  chmodSync(place, 0o755);
  scope.after(async () => rmSync(place, { recursive: true, force: true }));
  const slurm = await startSlurm({
    dir: join(place, 'slurm'),
    cluster: CLUSTER,
    nodes: 4,
    operators: ['beamway-slurm'],
  });
  scope.after(() => slurm.stop());
  return { place, slurm, server: await startApiServer(scope, { slurmClusters: [CLUSTER] }) };
}

async function linked(scheduler: Scheduler): Promise<Scheduler> {
  const until = systemClock.monotonic() + 20_000;
  for (;;) {
    try {
      await scheduler.nodes();
      return scheduler;
    } catch (cause) {
      if (systemClock.monotonic() > until) throw cause;
      await new Promise<void>((resolve) => void systemClock.after(50, resolve));
    }
  }
}

async function open(): Promise<SchedulerUnderTest> {
  whole ??= begin();
  const { place, slurm, server } = await whole;
  const dir = join(place, `agent-${++opened}`);
  const { value } = await issueAgentBearer(server.server.issue, {
    cluster: CLUSTER,
    lifetimeSeconds: 3600,
    by: 'test',
  });
  const users = { demo: 'bw-demo', even: 'bw-demo', odd: 'bw-demo' };
  const link = { url: server.url, bearer: value };
  const agent = await startAgent({ slurm, dir, cluster: CLUSTER, instance: `test-${opened}`, link, users });
  const marks = join(dir, 'marks');
  mkdirSync(marks);
  chmodSync(marks, 0o777);
  const found = server.server.schedulers.get(CLUSTER);
  if (found === undefined) throw new Error('no scheduler');
  const scheduler = await linked(found);
  return {
    scheduler,
    marks,
    async reopen(meanwhile) {
      await agent.kill('SIGKILL');
      await meanwhile();
      await agent.start();
      return linked(scheduler);
    },
    async dispose() {
      await agent.stop();
      await slurm.command('/usr/bin/scancel', '--user=bw-demo');
      while ((await slurm.command('/usr/bin/squeue', '-h')).trim() !== '') await new Promise((r) => setTimeout(r, 50));
    },
  };
}

if (why === undefined) {
  unixUser('root');
  schedulerConformance('slurm', { tiers: { low: 'batch', high: 'urgent' }, shortestTimeLimitSeconds: 2 }, open);
} else describe('scheduler slurm', () => void it('passes the conformance suite', { skip: why }, () => undefined));
