// People as a whole flow: imports over HTTP and the command line, who sees whom, node-hours beside an allocation, and a member who leaves while frames flow.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createClient } from '../../clients/typescript/src/index.ts';
import { recordsPage } from '../../src/audit/index.ts';
import { issueSession } from '../../src/identity/index.ts';
import { type ApiServer, type Bearer, eventually, fileScope, startApiServer } from './api-server.ts';
import { admitted, connectedCredentials, credentialFor, eventOf, pushTo, readyStream } from './libzmq.ts';
import { LAUNCHER, startBeamway, until } from './start-beamway.ts';

const api = await startApiServer(fileScope());
const admin = await api.session('administrator');
const HOUR_MS = 3_600_000;

async function signedIn(subject: string, of: ApiServer = api): Promise<Bearer> {
  const { token, value } = await issueSession(of.server.issue, {
    subject,
    roles: ['member'],
    lifetimeSeconds: 3600,
    by: 'test',
    methods: ['oidc'],
  });
  return { id: token.id, value };
}

async function imported(csv: Readonly<Record<string, string>>, more: object = {}) {
  const reply = await api.ask('/beamway/v1/imports', {
    method: 'POST',
    bearer: admin,
    body: { source: 'roster', csv, ...more },
  });
  assert.equal(reply.status, 200, reply.text);
  return reply.body;
}

function beamway(bearer: Bearer, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const env = {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    BEAMWAY_URL: api.url,
    BEAMWAY_TOKEN: bearer.value,
  };
  return new Promise((resolve) => {
    execFile(LAUNCHER, args, { env }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
    );
  });
}

const PEOPLE = 'subject,name,mail,roles\nada,Ada,ada@example.org,\nbob,Bob,,\nolga,Olga,,operator\n';
const MEMBERS = 'project,subject,role\nneutrons,ada,project-lead\nneutrons,bob,\ndemo,ada,\n';
const PROJECTS = 'name,title,environments,tiers\nneutrons,Neutron scattering,ace,batch\n';

test('members see their own projects and people, staff see all, strangers nothing; what is imported is recorded without mail addresses', async () => {
  const done = await imported({ people: PEOPLE, memberships: MEMBERS, projects: PROJECTS });
  assert.equal(done['applied'], true);
  const [ada, bob, olga, eve] = await Promise.all(['ada', 'bob', 'olga', 'eve'].map((name) => signedIn(name)));
  const projects = async (bearer: Bearer | undefined) =>
    ((await api.ask('/beamway/v1/projects', { bearer })).body['projects'] as { name: string }[]).map((p) => p.name);
  assert.deepEqual(await Promise.all([bob, ada, olga, eve].map(projects)), [
    ['neutrons'],
    ['demo', 'neutrons'],
    ['beamtime', 'demo', 'neutrons'],
    [],
  ]);
  assert.deepEqual(await projects(await api.token({ project: 'neutrons' })), ['neutrons']);
  const status = async (path: string, bearer: Bearer | undefined) =>
    (await api.ask(`/beamway/v1/${path}`, { bearer })).status;
  const paths = [
    'projects/neutrons',
    'projects/neutrons/usage',
    'projects/demo',
    'persons?project=neutrons',
    'persons',
    'persons/bob',
    'imports',
  ];
  const seen = (bearer: Bearer | undefined) => Promise.all(paths.map((p) => status(p, bearer)));
  // His only project is meant where he names none.
  assert.deepEqual(await seen(bob), [200, 200, 403, 200, 200, 200, 403]);
  assert.deepEqual(await seen(olga), [200, 200, 200, 200, 200, 200, 200]);
  assert.deepEqual(await seen(eve), [403, 403, 403, 403, 403, 403, 403]);
  for (const path of ['persons?project=neutrons', 'persons']) {
    const shown = await api.ask(`/beamway/v1/${path}`, { bearer: bob });
    assert.doesNotMatch(shown.text, /demo/, 'nothing of a colleague’s other projects');
  }
  const records = await recordsPage(api.database.kysely, { limit: 1000 });
  const event = records.find((r) => r.action === 'person.imported' && r.resource === 'source/roster');
  assert.match(JSON.stringify(event?.detail), /persons added: ada/);
  assert.doesNotMatch(JSON.stringify(records), /ada@example/);
});

test('node-hours are slots held, by the node’s slots, beside the allocation of the time', async () => {
  const now = Date.now();
  const at = (hours: number): string => new Date(now + hours * HOUR_MS).toISOString();
  await imported({
    allocations: `project,cluster,nodehours,from,to\ndemo,local,10,${at(-100)},${at(100)}\ndemo,local,99,${at(-300)},${at(-200)}\n`,
  });
  const owner = await api.token();
  const body = { project: 'demo', environment: 'ace', script: '#!/bin/sh\nexit 0\n', nodes: 2, slotsPerNode: 2 };
  const job = String((await api.ask('/beamway/v1/jobs', { method: 'POST', bearer: owner, body })).body['id']);
  await eventually('the job has ended', async () =>
    (await api.ask(`/beamway/v1/jobs/${job}`, { bearer: owner })).body['state'] === 'completed' ? true : undefined,
  );
  // Two hours on two of four slots of two nodes are two node-hours; one hour of it lies within the last two.
  const db = api.database.kysely.withTables<{
    compute_attempt: { job: string; attempt: number; started_at: Date; ended_at: Date };
  }>();
  const rows = await db
    .updateTable('compute_attempt')
    .set({ started_at: new Date(now - 3 * HOUR_MS), ended_at: new Date(now - HOUR_MS) })
    .where('job', '=', job)
    .returning('attempt')
    .execute();
  assert.equal(rows.length, 1);
  const usage = async (since?: string) => {
    const reply = await api.ask(`/beamway/v1/projects/demo/usage${since === undefined ? '' : `?since=${since}`}`, {
      bearer: owner,
    });
    assert.equal(reply.status, 200, reply.text);
    return (
      reply.body['clusters'] as {
        nodeHours: number;
        attempts: number;
        allocation: { nodeHours: number; used: number; usedPercent: number; elapsedPercent: number };
      }[]
    )[0];
  };
  const near = (a: number | undefined, b: number): void =>
    assert.ok(Math.abs((a ?? Number.NaN) - b) < 0.01, `${a} is about ${b}`);
  const whole = await usage();
  near(whole?.nodeHours, 2);
  assert.equal(whole?.attempts, 1);
  assert.equal(whole?.allocation.nodeHours, 10);
  near(whole?.allocation.used, 2);
  near(whole?.allocation.usedPercent, 20);
  near(whole?.allocation.elapsedPercent, 50);
  const half = await usage(at(-2));
  near(half?.nodeHours, 1);
  near(half?.allocation.used, 2);
  const printed = await beamway(admin, 'project', 'usage', 'demo', '--since', '7d');
  assert.equal(printed.code, 0, printed.err);
  assert.match(printed.out, /local +2\.00 .* 10\.0 +2\.00 \(20\.0 %\) +50\.0 %/);
});

test('the command line shows the plan, applies it, refuses what ends too many, and says where each source stands', async () => {
  const file = (name: string, text: string): string => {
    const path = join(api.state, name);
    writeFileSync(path, text);
    return path;
  };
  const people = file('people.csv', `${PEOPLE}carl,Carl,,\n`);
  const dry = await beamway(admin, 'import', '--source', 'roster', '--people', people, '--dry-run');
  assert.equal(dry.code, 0, dry.err);
  assert.match(
    dry.out,
    /^\+ persons carl\nplan: 1 added, 0 changed, 0 ended, 0 ignored; ends 0\.0 % of the members\n$/,
  );
  assert.match((await beamway(admin, 'import', '--source', 'roster', '--people', people)).out, /applied: 1 changes\n$/);
  assert.match((await beamway(admin, 'person', 'list')).out, /carl +Carl +active/);
  assert.match((await beamway(admin, 'project', 'show', 'neutrons')).out, /ada +project-lead/);
  const empty = file('empty.csv', 'subject\n');
  const refused = await beamway(admin, 'import', '--source', 'roster', '--people', empty);
  assert.equal(refused.code, 1);
  assert.match(refused.out, /ends 100\.0 % of the members/);
  assert.match(refused.err, /too many members/);
  assert.match((await beamway(admin, 'import', '--status')).out, /roster +csv +by hand .*would end 100 %/);
  const faulty = await beamway(admin, 'import', '--source', 'roster', '--people', file('faulty.csv', 'subject\n"x\n'));
  assert.equal(faulty.code, 2);
  assert.match(faulty.err, /#\/csv\/people: line 2: a quote is opened here/);
  assert.equal((await beamway(admin, 'import')).code, 2);
  assert.equal((await beamway(admin, 'import', '--source', 'nobody')).code, 4);
  assert.equal((await beamway(await signedIn('ada'), 'import', '--source', 'roster')).code, 3);
  assert.equal((await beamway(admin, 'notice', 'send')).code, 0);
  assert.equal((await beamway(await signedIn('ada'), 'notice', 'list')).code, 0);
});

test('a member who is taken out while frames flow: the token is refused, the stream’s connection is cut and its credential void', {
  timeout: 90_000,
}, async (t) => {
  const system = await startBeamway({ after });
  const staff = system.admin();
  const send = (memberships: string) =>
    staff.call('person.import', {
      body: { source: 'roster', force: true, csv: { people: 'subject\nmia\nmax\n', memberships } },
    });
  await send('project,subject\ndemo,mia\ndemo,max\n');
  const mint = async (subject: string) => {
    const body = {
      project: 'demo',
      environments: ['ace'],
      scopes: ['stream:create', 'stream:connect', 'stream:read'],
      lifetimeSeconds: 3600,
      subject,
    };
    const { id: minted, value } = await staff.call('token.mint', { body });
    return { client: createClient({ url: system.url(), token: value }), token: minted };
  };
  const { client, token } = await mint('mia');
  const { client: other } = await mint('max');
  const { id } = await readyStream(other, 'lcls-results');
  const push = pushTo(t, await credentialFor(client, id, 'producer'));
  const kept = pushTo(t, await credentialFor(other, id, 'producer'));
  await Promise.all([push, kept].map(admitted));
  const cut = eventOf(push, 'disconnect');
  const done = await send('project,subject\ndemo,max\n');
  assert.deepEqual(done.revoked, [token]);
  await cut;
  await assert.rejects(client.call('self.show'), { code: 'token-revoked' });
  await until('only the other’s connection is left', async () => (await connectedCredentials(other, id)).length === 1);
  await until('it comes again with its credential, and is refused', async () => {
    const { counters } = await other.call('stream.show', { params: { id } });
    return (counters?.refused ?? 0) > 0;
  });
});
