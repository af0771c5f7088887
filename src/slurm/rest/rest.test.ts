// What slurmrestd of 22.05.8 answers, read: an id is success, codes are kinds, and nothing else throws. The real one stands in slurm-scheduler.live.test.ts.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { systemClock } from '../../clock.ts';
import type { BatchOrder, MappedUser } from '../batch-order.ts';
import { SlurmFailure } from '../contract/index.ts';
import { openRest } from './open-rest.ts';
import { errorsIn, restFailure } from './rest-failure.ts';
import { submitBody, submitted } from './submit.ts';
import { VERSIONS, type VersionFields } from './version.ts';

const ORDER: BatchOrder = {
  name: 'job',
  account: 'demo',
  qos: 'batch',
  script: '#!/bin/sh\n',
  environment: { A: 'b' },
  comment: 'c',
  workDir: '/w',
  stdoutPath: '/o',
  stderrPath: '/e',
  nodes: 2,
  tasksPerNode: 3,
  timeLimitMinutes: 5,
  requeue: false,
  hold: true,
  exclusive: true,
  beginMs: 61_000,
};
const USER: MappedUser = {
  name: 'ada',
  uid: 1001,
  gid: 1001,
  group: { name: 'ada', gid: 1001 },
  account: 'demo',
  roots: [],
};
function fieldsOf(version: string): VersionFields {
  const fields = VERSIONS[version];
  assert.ok(fields !== undefined);
  return fields;
}
const kindOf = (act: () => unknown): string => {
  try {
    act();
    return 'none';
  } catch (cause) {
    assert.ok(cause instanceof SlurmFailure);
    return cause.kind;
  }
};

test('an id is success, also beside 2042 of a held job; 2015 beside an id means that it could never run', () => {
  assert.deepEqual(submitted({ job_id: 7, errors: [{ error_code: 2042, error: 'Job is held' }] }), {
    jobId: '7',
    impossible: undefined,
  });
  assert.equal(submitted({ job_id: 7, errors: [{ error_number: 2015, error: 'x' }] }).impossible?.kind, 'too-large');
  const refusal = (code: number) =>
    kindOf(() =>
      submitted({
        errors: [
          { error_code: 9001, error: 'parsing' },
          { error_code: code, error: 'x' },
        ],
      }),
    );
  assert.deepEqual([2066, 2045, 2014, 2000, 2029, 2053].map(refusal), [
    'unknown-tier',
    'refused',
    'too-large',
    'invalid',
    'invalid',
    'invalid',
  ]);
  assert.equal(
    kindOf(() => submitted({ errors: [{ error_number: 0, error: 'Unable to contact slurm controller' }] })),
    'unavailable',
  );
});

test('the order as the fields that 22.05 takes: times from now, requeue not among them', () => {
  const { job } = submitBody(ORDER, fieldsOf('v0.0.38'), 1000) as { readonly job: Record<string, unknown> };
  assert.deepEqual(
    [job['nodes'], job['tasks'], job['tasks_per_node'], job['begin_time'], job['exclusive'], 'requeue' in job],
    ['2', 6, 3, 'now+60', 'exclusive', false],
  );
  assert.equal(
    kindOf(() => submitBody({ ...ORDER, container: '/c' }, fieldsOf('v0.0.37'), 0)),
    'invalid',
  );
});

test('whatever is answered, only a SlurmFailure comes of it', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (answer) => {
      kindOf(() => submitted(answer));
      assert.ok(restFailure(errorsIn(answer), 'it') instanceof SlurmFailure);
    }),
  );
});

test('nothing is done as root, slurm or a user of the system; no token is asked for', async () => {
  let asked = 0;
  const rest = openRest({
    url: 'http://127.0.0.1:1',
    clock: systemClock,
    token: async () => {
      asked += 1;
      return 't';
    },
  });
  for (const user of [
    { ...USER, uid: 0 },
    { ...USER, name: 'root' },
    { ...USER, name: 'slurm' },
    { ...USER, uid: 999 },
  ])
    await assert.rejects(rest.submit(ORDER, user), (e) => e instanceof SlurmFailure && e.kind === 'refused');
  assert.equal(asked, 0);
});

test('nobody there, no JSON, a refused token and versions that we do not speak are told apart', async (t) => {
  let body = 'not json';
  let status = 200;
  const server = createServer((_request, response) => void response.writeHead(status).end(body));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const at = (url: string) => openRest({ url, clock: systemClock, token: async () => 't' }).submit(ORDER, USER);
  const says = (pattern: RegExp) => (e: unknown) =>
    e instanceof SlurmFailure && e.kind === 'unavailable' && pattern.test(e.message);
  await assert.rejects(at('http://127.0.0.1:1'), says(/ECONNREFUSED/));
  await assert.rejects(at(`http://127.0.0.1:${port}`), says(/no JSON/));
  status = 401;
  await assert.rejects(at(`http://127.0.0.1:${port}`), says(/SLURM_JWT/));
  [status, body] = [200, JSON.stringify({ paths: { '/slurm/v0.0.36/ping': {}, '/slurm/v0.0.45/ping': {} } })];
  await assert.rejects(
    at(`http://127.0.0.1:${port}`),
    says(/serves v0.0.36, v0.0.45; we speak v0.0.37, .*v0.0.44: load one/),
  );
});

test('a token that Slurm does not take is forgotten, so that the next one is new', async () => {
  let asked = 0;
  const forgotten: string[] = [];
  const rest = openRest({
    url: 'http://127.0.0.1:9',
    clock: systemClock,
    token: async () => String(++asked),
    forget: (user) => void forgotten.push(user),
  });
  await assert.rejects(rest.submit(ORDER, USER), (e) => e instanceof SlurmFailure && e.kind === 'unavailable');
  await assert.rejects(rest.cancel('1', USER), (e) => e instanceof SlurmFailure && e.kind === 'unavailable');
  assert.deepEqual(forgotten, [USER.name, USER.name]);
});
