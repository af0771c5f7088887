/**
 * The whole surface of jobs over HTTP, the real control plane against a PLAYED Slurm on a real link: control, what the cluster says, limits by name, following output as events, and what is
 * recorded of it.
 */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { before, test } from 'node:test';
import { recordsPage } from '../../src/audit/index.ts';
import { ALL_SCOPES } from '../../src/identity/index.ts';
import { SlurmFailure } from '../../src/slurm/contract/index.ts';
import { type ApiServer, type Bearer, eventually, fileScope, type Reply, startApiServer } from './api-server.ts';
import { type PlayedSlurm, playSlurm } from './played-slurm.fixture.ts';

const scope = fileScope();
const ON_SLURM = { slurmClusters: ['slurm01'], environmentsOn: { ace: 'slurm01' } };
const JOBS = '/beamway/v1/jobs';
const SCRIPT = '#!/bin/sh\nexit 0\n';
let api: ApiServer;
let slurm: PlayedSlurm;
let token: Bearer;

before(async () => {
  api = await startApiServer(scope, ON_SLURM);
  slurm = await playSlurm(scope, api, 'slurm01');
  token = await api.token();
});

const submit = async (more: object = {}): Promise<string> => {
  const reply = await api.ask(JOBS, { method: 'POST', bearer: token, body: { script: SCRIPT, ...more } });
  assert.equal(reply.status, 201, reply.text);
  return String(reply.body['id']);
};
const act = (id: string, verb: string, body?: object): Promise<Reply> =>
  api.ask(`${JOBS}/${id}/${verb}`, { method: 'POST', bearer: token, ...(body === undefined ? {} : { body }) });
const show = async (id: string): Promise<Record<string, unknown>> =>
  (await api.ask(`${JOBS}/${id}`, { bearer: token })).body;
const until = (id: string, state: string) =>
  eventually(`${id} ${state}`, async () => ((await show(id))['state'] === state ? true : undefined));
const attempt = (more: object = {}) => ({
  ...{ attempt: 1, submission: 1, nativeId: '1', startedAtMs: Date.now(), nodes: ['c1'] },
  ...{ stdoutPath: '/o', stderrPath: '/e' },
  ...more,
});

interface Followed {
  /** Events so far, as `event id data`. */
  readonly events: string[];
  readonly ended: Promise<void>;
  readonly status: Promise<number>;
  leave(): void;
}

function follow(of: ApiServer, path: string, headers: Record<string, string>): Followed {
  const events: string[] = [];
  let text = '';
  const controller = new AbortController();
  const status = Promise.withResolvers<number>();
  const ended = new Promise<void>((resolve) => {
    const asked = request(`${of.url}${path}`, { headers, signal: controller.signal }, (answer) => {
      status.resolve(answer.statusCode ?? 0);
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        text += chunk;
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          const block = text.slice(0, end);
          text = text.slice(end + 2);
          const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? '';
          if (field('event') !== '') events.push(`${field('event')} ${field('id')} ${field('data')}`);
        }
      });
      answer.on('close', () => resolve());
    });
    asked.on('error', () => resolve());
    asked.end();
  });
  return { events, ended, status: status.promise, leave: () => controller.abort() };
}

const bearing = (bearer: Bearer, more: Record<string, string> = {}) => ({
  authorization: `Bearer ${bearer.value}`,
  ...more,
});
const said = (f: Followed, event: string) => eventually(event, async () => f.events.find((e) => e.startsWith(event)));

test('a job of the whole surface goes to Slurm as it is meant, and its view says what Slurm says', async () => {
  const first = await submit();
  const id = await submit({
    ...{ hold: true, partition: 'gpu', gres: 'gpu:2', memoryMiBPerNode: 2048, notBefore: '2030-01-01T00:00:00Z' },
    ...{ array: { first: 0, last: 9, atOnce: 2 }, dependsOn: [{ job: first, when: 'succeeded' }] },
  });
  const order = slurm.asked.find((a) => a.act === 'submit' && (a.input as { key: string }).key === id)?.input;
  const { gres, partition, hold, array, dependsOn, notBeforeMs } = order as Record<string, unknown>;
  assert.deepEqual(
    { gres, partition, hold, array, dependsOn, notBeforeMs },
    {
      ...{ gres: 'gpu:2', partition: 'gpu', hold: true, array: { first: 0, last: 9, step: 1, atOnce: 2 } },
      ...{ dependsOn: [{ key: first, when: 'succeeded' }], notBeforeMs: Date.UTC(2030, 0, 1) },
    },
  );
  slurm.turn(id, {
    state: 'queued',
    reasonCode: 'QOSGrpNodeLimit',
    reason: 'waiting: nodes of the tier',
    expectedStartMs: 0,
  });
  await until(id, 'queued');
  const { reasonCode, reason, expectedStart, account, unixUser, tasks } = await show(id);
  assert.deepEqual(
    { reasonCode, reason, expectedStart, account, unixUser, tasks },
    {
      ...{
        reasonCode: 'QOSGrpNodeLimit',
        reason: 'waiting: nodes of the tier',
        expectedStart: '1970-01-01T00:00:00.000Z',
      },
      ...{
        account: 'demo',
        unixUser: 'u-demo',
        tasks: { total: 10, waiting: 10, running: 0, completed: 0, failed: 0 },
      },
    },
  );
});

test('hold, release, requeue, update and signal are done once, audited, and refused where the job has ended', async () => {
  const id = await submit();
  assert.equal((await act(id, 'hold')).body['state'], 'held');
  assert.equal((await show(id))['reasonCode'], 'JobHeldUser', 'what was just done is seen at once');
  assert.equal((await act(id, 'release')).body['state'], 'queued');
  assert.equal((await act(id, 'signal', { signal: 'USR1' })).code, 'conflict');
  slurm.turn(id, { state: 'running', attempts: [attempt()] });
  const key = { method: 'POST', bearer: token, key: 'once', body: { signal: 'USR1' } };
  const [one, two] = [await api.ask(`${JOBS}/${id}/signal`, key), await api.ask(`${JOBS}/${id}/signal`, key)];
  assert.deepEqual([one.status, two.status, two.headers.get('idempotency-replayed')], [200, 200, 'true']);
  const signals = slurm.asked.filter((a) => a.act === 'cancel' && (a.input as { key: string }).key === id);
  assert.deepEqual(
    signals.map((s) => (s.input as { signal?: string }).signal),
    ['USR1'],
  );
  const updated = await act(id, 'update', { name: 'Näme', timeLimitSeconds: 7200, tier: 'urgent' });
  assert.deepEqual(
    [updated.body['name'], updated.body['timeLimitSeconds'], updated.body['tier']],
    ['Näme', 7200, 'urgent'],
  );
  assert.equal((await act(id, 'requeue')).body['state'], 'queued');
  const intents = (await recordsPage(api.database.kysely, { limit: 1000 })).filter(
    (r) => r.resource === `job/${id}` && r.phase === 'intent',
  );
  assert.deepEqual(intents.map((r) => r.action).sort(), [
    'job.hold',
    'job.release',
    'job.requeue',
    'job.signal',
    'job.signal',
    'job.update',
  ]);
  slurm.turn(id, { state: 'completed' });
  await until(id, 'completed');
  for (const verb of ['hold', 'release', 'requeue'])
    assert.deepEqual([(await act(id, verb)).status, (await act(id, verb)).code], [409, 'job-ended']);
});

test('who may control jobs but not submit them raises no tier', async () => {
  const id = await submit();
  const bearer = await api.token({ scopes: ALL_SCOPES.filter((s) => s !== 'job:submit') });
  const ask = (body: object) => api.ask(`${JOBS}/${id}/update`, { method: 'POST', bearer, body });
  const refused = await ask({ tier: 'urgent' });
  assert.equal(refused.code, 'refused');
  assert.match(refused.text, /job:submit/);
  assert.equal((await ask({ tier: 'batch', name: 'x' })).status, 200);
});

test('a local cluster says by field what it has not', async () => {
  const bearer = await api.token({ environments: ['odo'] });
  const body = { script: SCRIPT, gres: 'gpu:2', array: { first: 0, last: 1 } };
  const reply = await api.ask(JOBS, { method: 'POST', bearer, body });
  assert.deepEqual([reply.status, reply.code], [422, 'not-supported-here']);
  assert.match(reply.text, /"#\/array".*"#\/gres"/);
  const plain = await api.ask(JOBS, { method: 'POST', bearer, body: { executable: '/bin/true' } });
  assert.equal(plain.status, 201, plain.text);
  const held = await api.ask(`${JOBS}/${plain.body['id']}/hold`, { method: 'POST', bearer });
  assert.ok(['not-supported-here', 'job-ended'].includes(held.code), held.text);
  const here = { executable: '/bin/pwd', workDir: '/tmp', notBefore: new Date(Date.now() + 1000).toISOString() };
  const later = await api.ask(JOBS, { method: 'POST', bearer, body: here });
  const begun = await eventually('its directory', async () => {
    const read = await api.ask(`${JOBS}/${later.body['id']}/output`, { bearer });
    return read.body['text'] === '/tmp\n' ? (await api.ask(`${JOBS}/${later.body['id']}`, { bearer })).body : undefined;
  });
  const [first] = begun['attempts'] as { startedAt: string }[];
  assert.ok(Date.parse(first?.startedAt ?? '') >= Date.parse(here.notBefore), 'not before its time');
  const CLUSTER = '/beamway/v1/clusters/local';
  assert.equal((await api.ask(`${CLUSTER}/partitions`, { bearer })).code, 'not-supported-here');
  const { nodes } = (await api.ask(`${CLUSTER}/nodes`, { bearer })).body as { nodes: { memoryMiB: unknown }[] };
  assert.deepEqual([nodes.length, nodes[0]?.memoryMiB], [4, null]);
});

test('a limit is told by its name, a refused account as such; while Slurm is away jobs are accepted and the rest waits', async () => {
  const id = await submit();
  const fail = (kind: SlurmFailure['kind'], limit?: string): void => {
    slurm.failWith = new SlurmFailure({ kind, message: `no: ${kind}`, ...(limit === undefined ? {} : { limit }) });
  };
  const post = () => api.ask(JOBS, { method: 'POST', bearer: token, body: { script: SCRIPT } });
  fail('limit', 'AssocGrpCPUMinutesLimit');
  const limited = await post();
  assert.deepEqual([limited.code, limited.body['limit']], ['limit-reached', 'AssocGrpCPUMinutesLimit']);
  fail('refused');
  const refused = await post();
  assert.deepEqual([refused.status, refused.code], [403, 'account-refused']);
  fail('unavailable');
  const held = await act(id, 'hold');
  assert.deepEqual([held.status, held.headers.get('retry-after')], [503, '2']);
  assert.equal((await api.ask('/beamway/v1/clusters/slurm01/partitions', { bearer: token })).status, 503);
  const accepted = await post();
  assert.deepEqual([accepted.status, accepted.body['state']], [201, 'accepted']);
  slurm.failWith = undefined;
  await until(String(accepted.body['id']), 'queued');
});

test('what the cluster says is read; accounting is a project’s own, page by page, and everybody’s for staff', async () => {
  const at = '/beamway/v1/clusters/slurm01';
  const read = async (path: string, bearer = token) => (await api.ask(`${at}/${path}`, { bearer })).body;
  assert.equal(((await read('partitions'))['partitions'] as unknown[]).length, 1);
  assert.equal((await read('diagnostics'))['slurmVersion'], '22.05.8');
  const reservations = JSON.stringify(await read('reservations'));
  assert.match(reservations, /MAINT/);
  assert.doesNotMatch(reservations, /secret|root/, 'whose it is stays with the facility');
  assert.equal(((await read('foreign'))['jobs'] as { name: string }[])[0]?.name, 'by-sbatch');
  const names: string[] = [];
  for (let after = ''; ; ) {
    const page = (await read(`history?limit=2${after}`)) as { rows: { nativeId: string }[]; next: string | null };
    names.push(...page.rows.map((r) => r.nativeId));
    if (page.next === null) break;
    after = `&after=${page.next}`;
  }
  assert.equal(names.at(-1), '7');
  assert.equal(new Set(names).size, names.length);
  const asked = slurm.asked.findLast((a) => a.act === 'history')?.input as { ownProject: boolean };
  assert.equal(asked.ownProject, true);
  assert.equal((await api.ask(`${at}/history/all`, { bearer: token })).status, 403);
  await read('history/all', await api.session('operator'));
  assert.equal(
    ((slurm.asked.findLast((a) => a.act === 'history')?.input ?? {}) as { ownProject?: boolean }).ownProject,
    false,
  );
  const elsewhere = await api.token({ environments: ['odo'] });
  assert.deepEqual((await read('history', elsewhere))['rows'], []);
  const backwards = await api.ask(`${at}/history?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z`, {
    bearer: token,
  });
  assert.equal(backwards.code, 'invalid-request');
});

test('output is followed as it is written, across attempts, and from where one was cut off', async () => {
  const id = await submit();
  slurm.written.set(`${id}.1`, 'eins — ');
  slurm.turn(id, { state: 'running', attempts: [attempt()] });
  await until(id, 'running');
  const path = `${JOBS}/${id}/output/events`;
  const first = follow(api, `${path}?attempts=all`, bearing(token));
  assert.match(await said(first, 'output'), /^output 1\.9 \{.*"text":"eins — "/);
  slurm.written.set(`${id}.1`, 'eins — zwei');
  await said(first, 'output 1.13');
  first.leave();
  const again = follow(api, `${path}?attempts=all`, bearing(token, { 'last-event-id': '1.9' }));
  assert.match(await said(again, 'output'), /^output 1\.13 .*"text":"zwei"/);
  const preempted = attempt({ endedAtMs: Date.now(), outcome: 'preempted' });
  slurm.written.set(`${id}.2`, 'drei');
  slurm.turn(id, { state: 'running', attempts: [preempted, attempt({ attempt: 2 })] });
  await said(again, 'attempt 2.0');
  await said(again, 'output 2.4');
  const second = attempt({ attempt: 2, endedAtMs: Date.now(), outcome: 'completed', exitCode: 0 });
  slurm.turn(id, { state: 'completed', attempts: [preempted, second] });
  await again.ended;
  assert.match(
    again.events.at(-1) ?? '',
    /^end {2}\{.*"attempt":2,"outcome":"completed","exitCode":0.*"state":"completed"/,
  );
  const wrong = follow(api, path, bearing(token, { 'last-event-id': 'nonsense' }));
  assert.equal(await wrong.status, 400);
  const records = (await recordsPage(api.database.kysely, { limit: 1000 })).filter(
    (r) => r.action === 'job.follow' && r.resource === `job/${id}` && r.phase === 'intent',
  );
  assert.deepEqual(new Set(records.map((r) => r.callerId)), new Set([token.id]));
});

test('who is revoked while following gets no more', async () => {
  const id = await submit();
  slurm.written.set(`${id}.1`, 'a');
  slurm.turn(id, { state: 'running', attempts: [attempt()] });
  await until(id, 'running');
  const bearer = await api.token();
  const followed = follow(api, `${JOBS}/${id}/output/events`, bearing(bearer));
  await said(followed, 'output');
  await api.server.revoke(bearer.id, 'test');
  await followed.ended;
  assert.match(followed.events.at(-1) ?? '', /^closed .*token-revoked/);
});

test('a token follows no more streams at once than it may, and a replica that drains ends them', async (t) => {
  const own = await startApiServer(t, { ...ON_SLURM, limits: 'longPolls: { token: 2, project: 10, replica: 10 }\n' });
  const played = await playSlurm(t, own, 'slurm01');
  const bearer = await own.token();
  const made = await own.ask(JOBS, { method: 'POST', bearer, body: { script: SCRIPT } });
  const id = String(made.body['id']);
  played.written.set(`${id}.1`, 'a');
  played.turn(id, { state: 'running', attempts: [attempt()] });
  const path = `${JOBS}/${id}/output/events`;
  const two = [follow(own, path, bearing(bearer)), follow(own, path, bearing(bearer))];
  for (const one of two) await said(one, 'output');
  const third = follow(own, path, bearing(bearer));
  assert.equal(await third.status, 429);
  two[0]?.leave();
  await eventually('a place', async () => {
    const more = follow(own, path, bearing(bearer));
    const status = await more.status;
    more.leave();
    return status === 200 ? true : undefined;
  });
  await own.stop();
  await two[1]?.ended;
  assert.match(two[1]?.events.at(-1) ?? '', /^closed .*draining/);
});
