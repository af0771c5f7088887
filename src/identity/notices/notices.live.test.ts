/** Expiry notices on a real database: who is told of what, once, whichever replica looks. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { auditMigrations } from '../../audit/index.ts';
import { handWoundClock, systemClock } from '../../clock.ts';
import { databaseMigrations, silentLog } from '../../database/index.ts';
import { testDatabase } from '../../database/testing.ts';
import { systemCaller } from '../caller.ts';
import { issueToken } from '../issue-token.ts';
import { importPeople } from '../people/import-people.ts';
import { testReplica } from '../people/people.fixture.ts';
import { identityMigrations } from '../tables-store.ts';
import { exampleFacility, exampleRules } from '../token.fixture.ts';
import { thresholdOf } from './notice.ts';
import { noticesPage } from './notice-store.ts';
import { type Addressee, commandNotifier, type Notifier } from './notify.ts';
import { type NoticeDeps, sendNotices } from './send-notices.ts';

const ROOMS = [
  databaseMigrations,
  { room: 'audit', migrations: auditMigrations, appendOnly: ['audit_record', 'audit_period', 'audit_checkpoint'] },
  { room: 'identity', migrations: identityMigrations },
];
const { database } = await testDatabase({ after }, ROOMS);
const db = database.kysely;
const DAY_MS = 86_400_000;

test('of the thresholds that are passed the nearest is told, and a short life tells nobody', () => {
  const days = [14, 3, 1];
  const left = (d: number, lifeDays: number | null = null) =>
    thresholdOf({ endsAt: new Date(d * DAY_MS), lifeDays }, 0, days);
  assert.deepEqual([left(15), left(14), left(3.5), left(2), left(0.5), left(0)], [undefined, 14, 14, 3, 1, undefined]);
  assert.deepEqual([left(0.5, 0.9), left(0.5, 2), left(2, 2), left(2, 20)], [undefined, 1, undefined, 3]);
});

test('tokens, allocations and memberships are told of once for each threshold by two replicas, to whom it concerns, by command', async (t) => {
  const clock = handWoundClock(systemClock.now());
  const source = { name: 'roster', kind: 'csv' as const, subjectPrefix: '' };
  const replica = await testReplica(db, { sources: [source], clock });
  const folder = mkdtempSync(join(tmpdir(), 'beamway-notice-'));
  t.after(() => {
    replica.stop();
    rmSync(folder, { recursive: true });
  });
  const at = (days: number): string => new Date(clock.now() + days * DAY_MS).toISOString();
  const csv = {
    people: 'subject,mail\nada,ada@example.org\nbob,\n',
    memberships: `project,subject,role,until\ndemo,ada,project-lead,\ndemo,bob,member,${at(20)}\n`,
    allocations: `project,cluster,nodehours,from,to\ndemo,local,100,${at(-30)},${at(13)}\n`,
  };
  await importPeople(replica.deps, systemCaller('test'), { source: 'roster', dryRun: false, force: false, csv });
  const mint = (lifetimeDays: number, description: string) =>
    issueToken({ db, clock, facility: exampleFacility, rules: exampleRules }, systemCaller('test'), {
      project: 'demo',
      subject: 'bob',
      environments: ['ace'],
      scopes: ['job:read'],
      lifetimeSeconds: lifetimeDays * 86_400,
      description,
    });
  await mint(20, 'detector');
  await mint(0.5, 'short');

  const program = join(folder, 'notify');
  writeFileSync(program, `#!/bin/sh\ncat >> ${folder}/told\necho >> ${folder}/told\n`, { mode: 0o755 });
  const deps: NoticeDeps = { db, clock, days: [14, 3, 1], notifiers: [commandNotifier([program])], log: silentLog };
  const run = async () => {
    const runs = await Promise.all([sendNotices(deps), sendNotices(deps)]);
    return runs.reduce((sum, r) => sum + r.written, 0);
  };
  const told = (): { thing: string; days: number; to: Addressee[] }[] =>
    readFileSync(join(folder, 'told'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  assert.equal(await run(), 1);
  await sendNotices(deps);
  assert.deepEqual(
    told().map((n) => [n.thing.split('/')[0], n.days, n.to]),
    [['allocation', 14, [{ subject: 'ada', name: 'ada', mail: 'ada@example.org' }]]],
  );
  clock.advance(7 * DAY_MS);
  assert.equal(await run(), 2, 'the token and the membership are 13 days from their end');
  assert.equal(await run(), 0);
  clock.advance(11 * DAY_MS);
  assert.equal(await run(), 2, 'both are 2 days from it; the allocation has ended');
  const bobs = await noticesPage(db, { limit: 10, visibleTo: { subject: 'bob', projects: [] } });
  assert.deepEqual(
    bobs.map((n) => n.days),
    [3, 3, 14, 14],
  );
  assert.ok(bobs.every((n) => n.deliveredAt !== null && n.project === 'demo'));
  assert.match(
    bobs.find((n) => n.kind === 'token')?.text ?? '',
    /^The token tok_\w+ \(detector\) of project demo ends on .* UTC, within 3 days\.$/,
  );
  assert.deepEqual(
    await noticesPage(db, { limit: 10, visibleTo: { subject: 'bob', projects: [] }, project: 'beamtime' }),
    [],
  );
});

test('what could not be delivered is tried again, and is still one notice', async (t) => {
  const clock = handWoundClock(systemClock.now());
  let works = false;
  let calls = 0;
  const notifier: Notifier = {
    name: 'test',
    async deliver() {
      calls += 1;
      if (!works) throw new Error('no mail today');
    },
  };
  const replica = await testReplica(db, { clock });
  t.after(() => replica.stop());
  const lifetimeSeconds = 10 * 86_400;
  await issueToken({ db, clock, facility: exampleFacility, rules: exampleRules }, systemCaller('test'), {
    project: 'demo',
    subject: 'carol',
    environments: ['ace'],
    scopes: ['job:read'],
    lifetimeSeconds,
  });
  clock.advance(8 * DAY_MS);
  const deps: NoticeDeps = { db, clock, days: [3], notifiers: [notifier], log: silentLog };
  const first = await sendNotices(deps);
  assert.equal(first.failed, first.written);
  const before = calls;
  works = true;
  assert.equal((await sendNotices(deps)).delivered, 0, 'held for the one who tries');
  clock.advance(600_000);
  assert.equal((await sendNotices(deps)).delivered, before);
  const carols = await noticesPage(db, { limit: 10, visibleTo: { subject: 'carol', projects: [] } });
  assert.equal(carols.length, 1);
});
