/** Imports on a real database: what they change, whose rows they leave alone, and what somebody who leaves loses. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { sql } from 'kysely';
import { auditMigrations } from '../../audit/index.ts';
import { handWoundClock, systemClock } from '../../clock.ts';
import { databaseMigrations, silentLog } from '../../database/index.ts';
import { testDatabase } from '../../database/testing.ts';
import { Problem } from '../../problems.ts';
import { type Caller, systemCaller } from '../caller.ts';
import { type IssuedToken, issueSession, issueToken } from '../issue-token.ts';
import { identityMigrations } from '../tables-store.ts';
import { exampleFacility, exampleRules } from '../token.fixture.ts';
import { applyImport } from './apply-import.ts';
import { type ImportInput, importPeople } from './import-people.ts';
import { testReplica } from './people.fixture.ts';
import type { CsvSource } from './people-settings.ts';
import type { Reading } from './person.ts';
import { sourceStates } from './source-store.ts';
import { syncPeople } from './sync-people.ts';

const ROOMS = [
  databaseMigrations,
  { room: 'audit', migrations: auditMigrations, appendOnly: ['audit_record', 'audit_period', 'audit_checkpoint'] },
  { room: 'identity', migrations: identityMigrations },
];
const { database } = await testDatabase({ after }, ROOMS);
const db = database.kysely;
const US = systemCaller('test');
const csv = (name: string, more: Partial<CsvSource> = {}): CsvSource => ({
  name,
  kind: 'csv',
  subjectPrefix: '',
  ...more,
});
let serial = 0;
/** Sources and people of one test are those of no other. */
const fresh = (): string => `t${++serial}`;

async function replica(t: TestContext, how: Parameters<typeof testReplica>[1] = {}) {
  const made = await testReplica(db, how);
  t.after(() => made.stop());
  return made;
}
type Replica = Awaited<ReturnType<typeof replica>>;

const send = (r: Replica, source: string, texts: NonNullable<ImportInput['csv']>, more: Partial<ImportInput> = {}) =>
  importPeople(r.deps, US, { source, dryRun: false, force: false, csv: texts, ...more });
const session = (subject: string, methods: readonly string[] = ['oidc']): Promise<IssuedToken> =>
  issueSession({ db, clock: systemClock }, { subject, roles: ['member'], lifetimeSeconds: 600, by: 'test', methods });
const mint = (subject: string, project = 'demo'): Promise<IssuedToken> =>
  issueToken({ db, clock: systemClock, facility: exampleFacility, rules: exampleRules }, US, {
    project,
    subject,
    environments: ['ace'],
    scopes: ['job:read'],
    lifetimeSeconds: 600,
  });
const callerBehind = (r: Replica, bearer: IssuedToken): Promise<Caller | string> =>
  r.verifier
    .verify(bearer.value)
    .catch((thrown: unknown) => (thrown instanceof Problem ? thrown.code : String(thrown)));
const projectsOf = async (r: Replica, bearer: IssuedToken): Promise<unknown> => {
  const caller = await callerBehind(r, bearer);
  return typeof caller === 'string' ? caller : caller.kind === 'session' ? caller.projects : caller.kind;
};
const outboxOf = async (id: string): Promise<number> =>
  (
    await sql`select 1 from outbox_pending where topic = 'identity.token-revoked' and key = ${id}
    union all select 1 from outbox_event where topic = 'identity.token-revoked' and key = ${id}`.execute(db)
  ).rows.length;

test('whoever is taken out of a project loses it, its tokens and their connections on every replica; other projects stay', async (t) => {
  const source = fresh();
  const [ada, bob] = [`ada-${source}`, `bob-${source}`];
  const one = await replica(t, { sources: [csv(source)] });
  const other = await replica(t);
  const people = `subject\n${ada}\n${bob}\n`;
  await send(one, source, {
    people,
    memberships: `project,subject,role\ndemo,${ada},project-lead\nbeamtime,${ada},\ndemo,${bob},\n`,
  });
  const [hers, demoToken, beamToken, bobs] = [
    await session(ada),
    await mint(ada),
    await mint(ada, 'beamtime'),
    await mint(bob),
  ];
  await other.verifier.refresh();
  const before = await callerBehind(other, hers);
  assert.ok(typeof before === 'object' && before.kind === 'session');
  assert.deepEqual([before.projects, before.leads], [['beamtime', 'demo'], ['demo']]);

  const outcome = await send(one, source, { memberships: `project,subject\nbeamtime,${ada}\ndemo,${bob}\n` });
  assert.deepEqual(outcome.losses.memberships, [{ project: 'demo', subject: ada }]);
  assert.deepEqual(outcome.revoked, [demoToken.token.id]);
  assert.deepEqual(await projectsOf(one, hers), ['beamtime'], 'at once where it was imported');
  await other.verifier.refresh();
  assert.deepEqual(await projectsOf(other, hers), ['beamtime'], 'after one epoch read elsewhere');
  assert.deepEqual(await Promise.all([demoToken, beamToken, bobs].map((b) => projectsOf(other, b))), [
    'token-revoked',
    'token',
    'token',
  ]);
  assert.equal(await outboxOf(demoToken.token.id), 1, 'streaming is told to cut what the token opened');
});

test('whoever vanishes is disabled: sessions are revoked, a new sign-in is refused; what the host issued stays', async (t) => {
  const source = fresh();
  const [ada, bob] = [`ada-${source}`, `bob-${source}`];
  const r = await replica(t, { sources: [csv(source)] });
  await send(r, source, { people: `subject\n${ada}\n${bob}\n` });
  const [hers, host, token] = [await session(ada), await session(ada, ['break-glass']), await mint(ada)];
  await send(r, source, { people: `subject\n${bob}\n` });
  assert.deepEqual(await Promise.all([hers, host, token].map((b) => projectsOf(r, b))), [
    'token-revoked',
    [],
    'token-revoked',
  ]);
  assert.equal(await projectsOf(r, await session(ada)), 'token-revoked');
  await send(r, source, { people: `subject\n${ada}\n${bob}\n` });
  assert.deepEqual(await projectsOf(r, await session(ada)), [], 'listed again, signed in again');
});

test('a token that was minted in the moment of leaving, by a replica that did not know yet, goes with the next sync', async (t) => {
  const source = fresh();
  const [ada, bob] = [`ada-${source}`, `bob-${source}`];
  const r = await replica(t, { sources: [csv(source)] });
  const people = `subject\n${ada}\n${bob}\n`;
  await send(r, source, { people, memberships: `project,subject\ndemo,${ada}\ndemo,${bob}\n` });
  await send(r, source, { memberships: `project,subject\ndemo,${bob}\n` });
  const [late, elsewhere, bobs] = [await mint(ada), await mint(ada, 'beamtime'), await mint(bob)];
  await syncPeople(r.deps, silentLog);
  assert.deepEqual(await Promise.all([late, elsewhere, bobs].map((b) => projectsOf(r, b))), [
    'token-revoked',
    'token',
    'token',
  ]);
});

test('with onRemoval flag tokens are kept and named', async (t) => {
  const source = fresh();
  const [ada, bob] = [`ada-${source}`, `bob-${source}`];
  const r = await replica(t, { sources: [csv(source)], onRemoval: 'flag' });
  const people = `subject\n${ada}\n${bob}\n`;
  await send(r, source, { people, memberships: `project,subject\ndemo,${ada}\ndemo,${bob}\n` });
  const token = await mint(ada);
  const outcome = await send(r, source, { memberships: `project,subject\ndemo,${bob}\n` });
  assert.deepEqual([outcome.revoked, outcome.flagged], [[], [token.token.id]]);
  assert.equal(await projectsOf(r, token), 'token');
});

test('an import that ends too many is refused and changes nothing, unless it is forced', async (t) => {
  const source = fresh();
  const r = await replica(t, { sources: [csv(source)] });
  const three = `subject\na-${source}\nb-${source}\nc-${source}\n`;
  await send(r, source, { people: three });
  await assert.rejects(send(r, source, { people: 'subject\n' }), { code: 'import-too-large' });
  const plan = await send(r, source, { people: 'subject\n' }, { dryRun: true });
  assert.equal(plan.plan.endedShare, 1);
  assert.match((await sourceStates(db)).get(source)?.failure ?? '', /100 %/);
  assert.deepEqual((await send(r, source, { people: three })).plan.changes, [], 'all are still there');
  assert.equal((await send(r, source, { people: 'subject\n' }, { force: true })).losses.disabled.length, 3);
});

test('facility roles come from CSV and people.yaml, and only of a session that a person signed in', async (t) => {
  const source = fresh();
  const r = await replica(t, { sources: [csv(source)] });
  await send(r, source, { people: `subject,roles\nolga-${source},operator\nrita,\n` });
  const roles = async (bearer: IssuedToken): Promise<unknown> => {
    const caller = await callerBehind(r, bearer);
    return typeof caller === 'object' && caller.kind === 'session' ? caller.roles : caller;
  };
  assert.deepEqual(await roles(await session(`olga-${source}`)), ['member', 'operator']);
  assert.deepEqual(await roles(await session('rita')), ['member', 'security']);
  assert.deepEqual(await roles(await session('rita', ['issued'])), ['member']);
  assert.deepEqual(
    await roles(await session(`nobody-${source}`)),
    ['member'],
    'whom no source knows keeps what sign-in gave',
  );
});

test('a membership that ends by its date is gone at that moment, and its tokens with the next sync', async (t) => {
  const source = fresh();
  const ada = `ada-${source}`;
  const clock = handWoundClock(systemClock.now());
  const r = await replica(t, { sources: [csv(source)], clock });
  const until = new Date(clock.now() + 60_000).toISOString();
  await send(r, source, { people: `subject\n${ada}\n`, memberships: `project,subject,until\ndemo,${ada},${until}\n` });
  const [hers, token] = [await session(ada), await mint(ada)];
  assert.deepEqual(await projectsOf(r, hers), ['demo']);
  clock.advance(60_000);
  await r.verifier.refresh();
  assert.deepEqual(await projectsOf(r, hers), []);
  await syncPeople(r.deps, silentLog);
  assert.equal(await projectsOf(r, token), 'token-revoked');
});

test('imported projects appear on every replica and go again; facility.yaml wins, and the plan says so', async (t) => {
  const source = fresh();
  const name = `neutrons-${source}`;
  const one = await replica(t, { sources: [csv(source, { maxEndedShare: 1 })] });
  const other = await replica(t);
  const outcome = await send(one, source, {
    projects: `name,title,tiers\n${name},Neutrons,batch;urgent\ndemo,Mine,\n`,
  });
  assert.match(outcome.plan.ignored[0]?.reason ?? '', /facility.yaml counts/);
  const expected = {
    name,
    title: 'Neutrons',
    environments: ['ace'],
    tiers: ['batch', 'urgent'],
    limits: { streams: 3, queuedJobs: 4 },
  };
  assert.deepEqual(one.live.facility.projects.get(name), expected);
  assert.equal(one.live.facility.projects.get('demo')?.title, exampleFacility.projects.get('demo')?.title);
  await other.imported.refresh();
  assert.deepEqual(other.live.facility.projects.get(name), expected);
  const deps = { db, clock: systemClock, facility: one.live.facility, rules: exampleRules };
  const token = await issueToken(deps, US, {
    project: name,
    subject: 'x',
    environments: ['ace'],
    scopes: ['job:read'],
    lifetimeSeconds: 60,
  });
  await send(one, source, { projects: 'name\n' });
  assert.equal(one.live.facility.projects.get(name), undefined);
  assert.equal(await projectsOf(one, token), 'token-revoked');
});

const subject = fc.constantFrom('pa', 'pb', 'pc', 'pd');
const reading: fc.Arbitrary<Reading> = fc.record(
  {
    persons: fc.array(
      fc.record({
        subject,
        name: fc.constantFrom('A', 'B'),
        mail: fc.constant(null),
        state: fc.constantFrom('active' as const, 'disabled' as const),
        roles: fc.subarray(['operator', 'security'] as const),
      }),
      { maxLength: 4 },
    ),
    projects: fc.array(
      fc.record({
        name: fc.constantFrom('x1', 'x2'),
        title: fc.constantFrom('T', 'U'),
        environments: fc.option(fc.constant(['ace']), { nil: null }),
        tiers: fc.constant(null),
        streams: fc.option(fc.nat(5), { nil: null }),
        queuedJobs: fc.constant(null),
      }),
      { maxLength: 2 },
    ),
    memberships: fc.array(
      fc.record({
        project: fc.constantFrom('demo', 'x1', 'x2'),
        subject,
        role: fc.constantFrom('member' as const, 'project-lead' as const),
        until: fc.constantFrom(null, '2999-01-01T00:00:00.000Z'),
      }),
      { maxLength: 5 },
    ),
    allocations: fc.array(
      fc.record({
        project: fc.constantFrom('demo', 'x1'),
        cluster: fc.constant('local'),
        nodeHours: fc.double({ min: 0, max: 1e6, noNaN: true }),
        from: fc.constantFrom(null, '2026-01-01T00:00:00.000Z'),
        to: fc.constant(null),
      }),
      { maxLength: 3 },
    ),
    ignored: fc.constant([]),
  },
  { requiredKeys: ['ignored'] },
);

test('whatever two sources say in turn: applied twice changes nothing the second time, and no row of the other is touched', async (t) => {
  const r = await replica(t);
  const rowsOf = async (source: string): Promise<unknown> => {
    const tables = ['identity_person', 'identity_project', 'identity_membership', 'identity_allocation'];
    return Promise.all(
      tables.map(
        async (name) =>
          (await sql`select * from ${sql.table(name)} where source = ${source} order by 1, 2, 3, 4, 5`.execute(db))
            .rows,
      ),
    );
  };
  const apply = (source: string, of: Reading) =>
    applyImport(r.deps, US, { wish: { source, maxEndedShare: 1, dryRun: false, force: true }, reading: of });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom('alpha', 'beta'), reading), { minLength: 1, maxLength: 3 }),
      async (turns) => {
        for (const [source, of] of turns) {
          const other = source === 'alpha' ? 'beta' : 'alpha';
          const before = await rowsOf(other);
          await apply(source, of);
          assert.deepEqual(await rowsOf(other), before);
          const own = await rowsOf(source);
          assert.deepEqual((await apply(source, of)).plan.changes, []);
          assert.deepEqual(await rowsOf(source), own);
        }
      },
    ),
    { numRuns: 25 },
  );
});

test('two replicas sync a source once; one that fails is told in its state and the audit log, and the last good state stays', async (t) => {
  const source = fresh();
  const folder = mkdtempSync(join(tmpdir(), 'beamway-people-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const clock = handWoundClock(systemClock.now());
  const how = { sources: [csv(source, { folder, syncMinutes: 5 })], clock };
  const [one, two] = [await replica(t, how), await replica(t, how)];
  writeFileSync(join(folder, 'people.csv'), `subject\nada-${source}\n`);
  const turn = async () => (await Promise.all([one, two].map((r) => syncPeople(r.deps, silentLog)))).flat();
  assert.deepEqual(await turn(), [source]);
  assert.deepEqual(await turn(), [], 'nothing is due');
  const good = (await sourceStates(db)).get(source);
  assert.deepEqual([good?.failure, good?.counts], [null, { 'persons added': 1 }]);
  writeFileSync(join(folder, 'people.csv'), 'subject\n"ada\n');
  clock.advance(300_000);
  assert.deepEqual(await turn(), [source]);
  const bad = (await sourceStates(db)).get(source);
  assert.match(bad?.failure ?? '', /people.csv:2: a quote is opened here/);
  assert.deepEqual([bad?.doneAt, bad?.counts], [good?.doneAt, good?.counts]);
  await Promise.all([one, two].map((r) => r.deps.audit.flush()));
  const { rows } = await sql<{
    action: string;
  }>`select action from audit_record where resource = ${`source/${source}`} order by sequence`.execute(db);
  assert.deepEqual(
    rows.map((r) => r.action),
    ['person.imported', 'person.import-failed'],
  );
  await one.verifier.refresh();
  assert.deepEqual(await projectsOf(one, await session(`ada-${source}`)), []);
});
