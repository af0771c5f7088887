// QoS, access and reservations on a real Slurm 22.05: what was asked is there afterwards, what is not ours is not touched, and asking again changes nothing.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { whyNoSlurm } from '../../../test/servers/slurm/packages.ts';
import { type SlurmServer, startSlurm } from '../../../test/servers/slurm/start-slurm.ts';
import { systemClock } from '../../clock.ts';
import { openCommand } from '../command/open-command.ts';
import { SlurmFailure, type TierFact } from '../contract/index.ts';
import { openPolicy } from './open-policy.ts';

const skip = whyNoSlurm() ?? false;
const place = mkdtempSync(join(tmpdir(), 'beamway-policy-'));
chmodSync(place, 0o755);
let slurm: SlurmServer | undefined;
after(async () => {
  await slurm?.stop();
  rmSync(place, { recursive: true, force: true });
});

const TIER: TierFact = {
  name: 'bw-window',
  priority: 5000,
  preempts: ['batch'],
  preemptMode: 'requeue',
  graceSeconds: 0,
  maxTimeLimitSeconds: 3600,
  maxNodes: 2,
  denyOnLimit: true,
};
const refused = (kind: string) => (e: unknown) => e instanceof SlurmFailure && e.kind === kind;

test('QoS, access and reservations are as asked, on the real thing', { skip }, async (t) => {
  slurm = await startSlurm({ dir: join(place, 'slurm'), cluster: 'lab', nodes: 2 });
  const server = slurm;
  const command = openCommand({ binDir: '/usr/bin', slurmConf: server.conf, clock: systemClock });
  const policy = openPolicy({
    binDir: '/usr/bin',
    slurmConf: server.conf,
    cluster: 'lab',
    prefix: 'bw-',
    accountOf: (project) => (project === 'demo' ? 'demo' : undefined),
    reservations: command.reservations,
    clock: systemClock,
    log: { info: () => undefined, warn: () => undefined },
  });
  const tier = async (name: string) => (await policy.tiers()).tiers.find((q) => q.name === name);
  const own = async () => (await policy.access({ project: 'demo' })).access.find((a) => a.user === undefined)?.tiers;
  const before = await policy.tiers();

  await t.test('a QoS is made, changed and emptied of whom it preempts; others stay as they are', async () => {
    assert.deepEqual((await policy.setTier({ tier: TIER })).tier, TIER);
    assert.deepEqual((await policy.setTier({ tier: TIER })).tier, TIER);
    const { maxNodes: _, ...rest } = TIER;
    const less: TierFact = { ...rest, preempts: [], denyOnLimit: false };
    assert.deepEqual((await policy.setTier({ tier: less })).tier, less);
    await policy.setTier({ tier: TIER });
    const others = (await policy.tiers()).tiers.filter((q) => !q.name.startsWith('bw-'));
    assert.deepEqual(others, before.tiers);
  });

  await t.test('what is not ours is refused before Slurm is asked', async () => {
    await assert.rejects(policy.setTier({ tier: { ...TIER, name: 'batch' } }), refused('refused'));
    await assert.rejects(policy.setTier({ tier: { ...TIER, priority: 70_000 } }), refused('invalid'));
    await assert.rejects(policy.grant({ project: 'demo', tier: 'urgent' }), refused('refused'));
    await assert.rejects(policy.grant({ project: 'other', tier: TIER.name }), refused('refused'));
    await assert.rejects(policy.removeTier({ name: 'urgent' }), refused('refused'));
  });

  await t.test('what Slurm would keep otherwise, or what would stand above what it preempts, is refused', async () => {
    for (const [change, kind] of [
      [{ maxTimeLimitSeconds: 90 }, 'invalid'],
      [{ preemptMode: 'off' }, 'invalid'],
      [{ preempts: ['bw-window'] }, 'invalid'],
      [{ preempts: ['no-such'] }, 'invalid'],
      [{ preempts: ['batch', 'batch'] }, 'invalid'],
      [{ preempts: ['Batch'] }, 'invalid'],
      [{ preempts: ['urgent'] }, 'invalid'],
      [{ preempts: ['batch'], priority: 50 }, 'invalid'],
    ] as const)
      await assert.rejects(
        policy.setTier({ tier: { ...TIER, ...change, preempts: [...(change.preempts ?? TIER.preempts)] } as TierFact }),
        refused(kind),
        JSON.stringify(change),
      );
    assert.deepEqual(await tier(TIER.name), TIER);
    await policy.setTier({ tier: { ...TIER, name: 'bw-above', priority: 6000, preempts: [TIER.name] } });
    await assert.rejects(policy.setTier({ tier: { ...TIER, priority: 6000 } }), /bw-above \(6000\) preempts this/);
    await policy.removeTier({ name: 'bw-above' });
  });

  await t.test('a withdrawal takes it from users with a list of their own too, and from nobody else', async () => {
    await policy.grant({ project: 'demo', tier: TIER.name });
    const user = ['where', 'name=bw-demo', 'account=demo', 'cluster=lab', 'set'];
    await server.command('/usr/bin/sacctmgr', '-i', '-Q', 'modify', 'user', ...user, `qos=batch,${TIER.name}`);
    await server.command('/usr/bin/sacctmgr', '-i', '-Q', 'modify', 'user', ...user, `defaultqos=${TIER.name}`);
    const theirs = async () => (await policy.access({ project: 'demo' })).access.find((a) => a.user === 'bw-demo');
    assert.deepEqual([(await theirs())?.tiers, (await theirs())?.defaultTier], [['batch', TIER.name], TIER.name]);
    await policy.withdraw({ project: 'demo', tier: TIER.name });
    assert.deepEqual([(await theirs())?.tiers, (await theirs())?.defaultTier === TIER.name], [['batch'], false]);
    await server.command('/usr/bin/sacctmgr', '-i', '-Q', 'modify', 'user', ...user, 'qos=');
    assert.deepEqual((await theirs())?.tiers, await own());
  });

  await t.test('a grant is usable at once and keeps the others; withdrawn, a submit is refused', async () => {
    const held = (await own()) ?? [];
    await policy.grant({ project: 'demo', tier: TIER.name });
    assert.deepEqual(await own(), [...held, TIER.name].sort());
    const submit = () =>
      server.command(
        '/usr/bin/sbatch',
        '--uid=bw-demo',
        '--gid=bw-demo',
        '--account=demo',
        `--qos=${TIER.name}`,
        '-t',
        '5',
        '-D',
        '/tmp',
        '-o',
        '/dev/null',
        '--wrap',
        'true',
      );
    await submit();
    await policy.withdraw({ project: 'demo', tier: TIER.name });
    await policy.withdraw({ project: 'demo', tier: TIER.name });
    assert.deepEqual(await own(), held);
    await assert.rejects(submit(), /Invalid qos/);
  });

  await t.test('two grants at the same time lose neither', async () => {
    const second = { ...TIER, name: 'bw-second' };
    await policy.setTier({ tier: second });
    await Promise.all([TIER.name, second.name].map((name) => policy.grant({ project: 'demo', tier: name })));
    const now = await own();
    assert.ok(now?.includes(TIER.name) && now.includes(second.name));
    await assert.rejects(policy.removeTier({ name: second.name }), /in use/);
    for (const name of [TIER.name, second.name]) await policy.withdraw({ project: 'demo', tier: name });
    await policy.removeTier({ name: second.name });
    await policy.removeTier({ name: second.name });
    assert.equal(await tier(second.name), undefined);
  });

  await t.test('a reservation is made, moved and ended', async () => {
    const start = Math.floor(Date.now() / 1000) * 1000 + 3_600_000;
    const order = {
      name: 'bw-maint',
      startMs: start,
      endMs: start + 3_600_000,
      nodes: 'ALL' as const,
      accounts: [],
      users: [],
      flags: ['MAINT' as const, 'IGNORE_JOBS' as const],
    };
    const made = await policy.reserve({ reservation: order });
    assert.deepEqual(
      [made.reservation.nodeCount, made.reservation.startMs, made.reservation.users],
      [2, start, ['root']],
    );
    const moved = await policy.reserve({ reservation: { ...order, endMs: start + 7_200_000 } });
    assert.equal(moved.reservation.endMs, start + 7_200_000);
    const other = { ...order, accounts: ['demo'], flags: ['IGNORE_JOBS' as const, 'FLEX' as const] };
    const changed = (await policy.reserve({ reservation: other })).reservation;
    assert.deepEqual([changed.accounts, changed.users], [['demo'], []]);
    assert.ok(changed.flags.includes('FLEX') && !changed.flags.includes('MAINT'), changed.flags.join());
    const back = (await policy.reserve({ reservation: order })).reservation;
    assert.deepEqual([back.accounts, back.users, back.flags.includes('FLEX')], [[], ['root'], false]);
    await assert.rejects(policy.reserve({ reservation: { ...order, name: 'theirs' } }), refused('refused'));
    await policy.endReservation({ name: 'bw-maint' });
    await policy.endReservation({ name: 'bw-maint' });
    assert.deepEqual(await command.reservations(), []);
  });

  await t.test('with slurmctld dead a grant is not said to be in force; asked again afterwards it is', async () => {
    await server.kill('slurmctld');
    await assert.rejects(policy.grant({ project: 'demo', tier: TIER.name }), (e) => {
      assert.ok(e instanceof SlurmFailure && e.kind === 'unavailable' && /slurmctld/.test(e.message), String(e));
      return true;
    });
    await server.restart();
    await policy.grant({ project: 'demo', tier: TIER.name });
    await policy.withdraw({ project: 'demo', tier: TIER.name });
  });

  await t.test('with slurmdbd dead nothing is believed; asked again afterwards it is there', async () => {
    await server.kill('slurmdbd');
    await assert.rejects(policy.grant({ project: 'demo', tier: TIER.name }), refused('unavailable'));
    await server.restart();
    await policy.grant({ project: 'demo', tier: TIER.name });
    assert.ok((await own())?.includes(TIER.name));
  });
});
