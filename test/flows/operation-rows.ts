/**
 * One row for each operation: who may call it, what it is about, and a request that is right. The every-operation test reads its cases off these.
 * An operation without a row is a type error here and a failure there.
 */

import assert from 'node:assert/strict';
import type { OperationId } from '../../src/api/contract/index.ts';
import { systemClock } from '../../src/clock.ts';
import { newRequest } from '../../src/dsn/certificate/node-certificate.ts';
import { decideDevice, readUserCode, type SessionCaller, startDeviceLogin } from '../../src/identity/index.ts';
import type { ApiServer, Bearer } from './api-server.ts';
import { type OwnFactor, ownFactor } from './own-factor.ts';
import type { PlayedSlurm } from './played-slurm.fixture.ts';

/** Who may: everybody; any bearer; a token with the scope; staff's sessions; a streaming node; a cluster's Slurm agent. */
export type Kind =
  | 'open'
  | 'own'
  /** Scope, about one thing of a project and environment, or about what shall be made there. */
  | 'thing'
  /** Scope, lists things of a project: those of the token's own environments. */
  | 'list'
  /** Scope, about nothing of a project, or the caller's own. */
  | 'scope-only'
  /** A person's session, about what is the person's own. */
  | 'session'
  | 'staff'
  | 'node'
  | 'agent';

export interface Parts {
  readonly id?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export interface Row {
  readonly kind: Kind;
  readonly parts?: (world: World) => Parts;
}

/** What exists, all of project demo in environment ace. */
export interface World {
  readonly owner: Bearer;
  /** Cancelled on the way. */
  readonly job: string;
  readonly waitingJob: string;
  /** Played as running, for ever. */
  readonly runningJob: string;
  readonly stream: string;
  readonly spareStream: string;
  readonly run: string;
  readonly spareToken: string;
  /** For whatever needs a person with a second factor. */
  readonly own: OwnFactor;
  /** Sequence number of an audit record. */
  readonly record: number;
  /** A device code that a person has confirmed; each is answered once. */
  takeDeviceCode(): string;
  /** A turn of the streaming node's agent: it is there and all its streams are ready. */
  playNode(): Promise<void>;
}

const HERE = { project: 'demo', environment: 'ace' };
const SCRIPT = '#!/bin/sh\nexec sleep 60\n';
const WORKFLOW = JSON.stringify({
  apiVersion: 'beamway/v1',
  kind: 'Workflow',
  name: 'tiny',
  steps: { only: { executable: '/bin/true' } },
});
const REQUEST = (await newRequest('dsn01')).request;
const REPORT = { instance: 'i', knownVersion: -1, appliedVersion: 1_000_000, claimUrl: '', waitMs: 0, events: [] };
const COUNTERS = Object.fromEntries(
  'messagesIn messagesOut bytesIn bytesOut dropped redelivered buffered bufferedBytes producers consumers refused'
    .split(' ')
    .map((name) => [name, 0]),
);
const inDemo = { query: { project: 'demo' } };

export const ROWS: Readonly<Record<OperationId, Row>> = {
  'health.show': { kind: 'open' },
  'facility.show': { kind: 'own' },
  'cluster.list': { kind: 'scope-only' },
  'cluster.link': { kind: 'agent', parts: () => ({ id: 'slurm01' }) },
  'cluster.partitions': { kind: 'scope-only', parts: () => ({ id: 'slurm01' }) },
  'cluster.nodes': { kind: 'scope-only', parts: () => ({ id: 'slurm01' }) },
  'cluster.reservations': { kind: 'scope-only', parts: () => ({ id: 'slurm01' }) },
  'cluster.diagnostics': { kind: 'scope-only', parts: () => ({ id: 'slurm01' }) },
  'cluster.history': { kind: 'list', parts: () => ({ id: 'slurm01', ...inDemo }) },
  'cluster.whole-history': { kind: 'staff', parts: () => ({ id: 'slurm01' }) },
  'cluster.foreign': { kind: 'list', parts: () => ({ id: 'slurm01', ...inDemo }) },
  'token.mint': {
    kind: 'staff',
    parts: () => ({ body: { project: 'demo', environments: ['ace'], scopes: ['job:read'], lifetimeSeconds: 60 } }),
  },
  'token.list': { kind: 'staff' },
  'token.show': { kind: 'staff', parts: (w) => ({ id: w.owner.id }) },
  'token.revoke': { kind: 'staff', parts: (w) => ({ id: w.spareToken }) },
  'token.tree': { kind: 'staff', parts: (w) => ({ id: w.owner.id }) },
  'self.delegate': { kind: 'scope-only', parts: () => ({ body: { scopes: ['token:delegate'], lifetimeSeconds: 60 } }) },
  'self.tree': { kind: 'own' },
  'self.renew': { kind: 'own', parts: () => ({ body: {} }) },
  'self.rotate': { kind: 'own', parts: () => ({ body: {} }) },
  'self.show': { kind: 'own' },
  'self.revoke': { kind: 'own' },
  'login.device': { kind: 'open', parts: () => ({ body: {} }) },
  'login.poll': { kind: 'open', parts: (w) => ({ body: { device_code: w.takeDeviceCode() } }) },
  'job.submit': { kind: 'thing', parts: () => ({ body: { ...HERE, script: SCRIPT } }) },
  'job.list': { kind: 'list', parts: () => inDemo },
  'job.show': { kind: 'thing', parts: (w) => ({ id: w.job }) },
  'job.cancel': { kind: 'thing', parts: (w) => ({ id: w.job }) },
  'job.hold': { kind: 'thing', parts: (w) => ({ id: w.waitingJob }) },
  'job.release': { kind: 'thing', parts: (w) => ({ id: w.waitingJob }) },
  'job.requeue': { kind: 'thing', parts: (w) => ({ id: w.waitingJob }) },
  'job.update': { kind: 'thing', parts: (w) => ({ id: w.waitingJob, body: { name: 'other' } }) },
  'job.signal': { kind: 'thing', parts: (w) => ({ id: w.runningJob, body: { signal: 'USR1' } }) },
  'job.terminal': { kind: 'thing', parts: (w) => ({ id: w.runningJob, body: {} }) },
  'job.output': { kind: 'thing', parts: (w) => ({ id: w.job }) },
  'job.follow': { kind: 'thing', parts: (w) => ({ id: w.job }) },
  'template.list': { kind: 'scope-only' },
  'stream.create': {
    kind: 'thing',
    parts: () => ({ body: { ...HERE, name: 'another', template: 'lcls-results' } }),
  },
  'stream.list': { kind: 'list', parts: () => inDemo },
  'stream.show': { kind: 'thing', parts: (w) => ({ id: w.stream }) },
  'stream.extend': { kind: 'thing', parts: (w) => ({ id: w.stream, body: { lifetimeSeconds: 600 } }) },
  'stream.set': { kind: 'thing', parts: (w) => ({ id: w.stream, body: { parameters: { byteQuota: 0 } } }) },
  'stream.pause': { kind: 'thing', parts: (w) => ({ id: w.stream }) },
  'stream.resume': { kind: 'thing', parts: (w) => ({ id: w.stream }) },
  'stream.drain': { kind: 'thing', parts: (w) => ({ id: w.spareStream, body: { withinSeconds: 60 } }) },
  'stream.delete': { kind: 'thing', parts: (w) => ({ id: w.spareStream }) },
  'stream.credential': { kind: 'thing', parts: (w) => ({ id: w.stream, body: { role: 'producer' } }) },
  'metrics.show': { kind: 'scope-only' },
  'run.create': { kind: 'thing', parts: () => ({ body: { ...HERE, workflow: WORKFLOW } }) },
  'run.list': { kind: 'list', parts: () => inDemo },
  'run.show': { kind: 'thing', parts: (w) => ({ id: w.run }) },
  'run.cancel': { kind: 'thing', parts: (w) => ({ id: w.run }) },
  'policy.explain': { kind: 'staff', parts: (w) => ({ query: { as: w.owner.id, action: 'job:read' } }) },
  'audit.list': { kind: 'list', parts: () => inDemo },
  'audit.show': { kind: 'list', parts: (w) => ({ id: String(w.record), ...inDemo }) },
  'audit.trace': { kind: 'list', parts: (w) => ({ id: w.job, ...inDemo }) },
  'audit.verify': { kind: 'staff' },
  'audit.key': { kind: 'staff' },
  'audit.checkpoint': { kind: 'staff' },
  'audit.checkpoints': { kind: 'staff' },
  'factor.list': { kind: 'session' },
  'factor.remove': { kind: 'session', parts: (w) => ({ id: w.own.factor }) },
  'factor.reset': { kind: 'staff', parts: () => ({ body: { subject: 'somebody', reason: 'a lost phone' } }) },
  'lockdown.show': { kind: 'own' },
  'lockdown.set': { kind: 'staff', parts: () => ({ body: { reason: 'a drill' } }) },
  'lockdown.lift': { kind: 'staff', parts: () => ({ query: { reason: 'the drill is over' } }) },
  'oauth.metadata': { kind: 'open' },
  'oauth.keys': { kind: 'open' },
  'oauth.introspect': { kind: 'own', parts: (w) => ({ body: { token: w.owner.value } }) },
  'oauth.token': {
    kind: 'open',
    parts: (w) => ({
      body: {
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: w.owner.value,
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        scope: 'job:read',
      },
    }),
  },
  'token.introspect': { kind: 'staff', parts: (w) => ({ body: { token: w.owner.value } }) },
  'self.hop-token': { kind: 'own', parts: () => ({ body: { audience: 'internal-services' } }) },
  'key.list': { kind: 'staff' },
  'key.rotate': { kind: 'staff', parts: () => ({ body: {} }) },
  'person.import': {
    kind: 'staff',
    parts: () => ({ body: { source: 'roster', dryRun: true, csv: { people: 'subject\n' } } }),
  },
  'import.list': { kind: 'staff' },
  'person.list': { kind: 'staff' },
  'person.show': { kind: 'staff', parts: () => ({ id: 'ada' }) },
  'project.list': { kind: 'own' },
  'project.show': { kind: 'staff', parts: () => ({ id: 'demo' }) },
  'project.usage': { kind: 'list', parts: () => ({ id: 'demo' }) },
  'notice.list': { kind: 'own' },
  'notice.send': { kind: 'staff' },
  'node.sync': { kind: 'node', parts: () => ({ id: 'dsn01', body: { ...REPORT, streams: [] } }) },
  'node.certify': { kind: 'node', parts: () => ({ id: 'dsn01', body: { request: REQUEST } }) },
  'node.list': { kind: 'staff' },
};

/** With `slurm`, which plays the cluster of environment ace, every operation on a job can be carried out; without, jobs are the local scheduler's. */
export async function buildWorld(api: ApiServer, slurm?: PlayedSlurm): Promise<World> {
  const owner = await api.token();
  const agent = await api.node('dsn01');
  const held: string[] = [];
  const playNode = async (): Promise<void> => {
    const streams = held.map((stream) => ({
      stream,
      state: 'ready',
      reason: '',
      endpoints: { producer: 'tcp://127.0.0.1:9', consumer: 'tcp://127.0.0.1:9' },
      counters: COUNTERS,
      connections: [],
    }));
    const sync = { method: 'POST', bearer: agent, body: { ...REPORT, streams } };
    const reply = await api.ask('/beamway/v1/nodes/dsn01/sync', sync);
    assert.equal(reply.status, 200, reply.text);
  };
  const make = async (path: string, body: object): Promise<string> => {
    const reply = await api.ask(`/beamway/v1/${path}`, { method: 'POST', bearer: owner, body: { ...HERE, ...body } });
    assert.ok(reply.status === 201 || reply.status === 202, reply.text);
    return String(reply.body['id']);
  };
  await playNode();
  const job = await make('jobs', { script: SCRIPT });
  const waitingJob = await make('jobs', { script: SCRIPT });
  const runningJob = await make('jobs', { script: SCRIPT });
  slurm?.turn(runningJob, { state: 'running' });
  const run = await make('runs', { workflow: WORKFLOW });
  for (const name of ['one', 'two']) held.push(await make('streams', { name, template: 'lcls-results' }));
  await playNode();
  const [stream = '', spareStream = ''] = held;
  const people = { source: 'roster', csv: { people: 'subject\nada\n' } };
  const taken = await api.ask('/beamway/v1/imports', {
    method: 'POST',
    bearer: await api.session('administrator'),
    body: people,
  });
  assert.equal(taken.status, 200, taken.text);
  const codes = await confirmedCodes(api, CASES_OF_AN_OPERATION);
  const takeDeviceCode = (): string => codes.pop() ?? 'all device codes are used up';
  const listed = await api.ask('/beamway/v1/audit/records?action=job.submit&limit=1', { bearer: owner });
  const [one] = listed.body['records'] as readonly { readonly sequence: number }[];
  const record = one?.sequence ?? 0;
  return {
    owner,
    record,
    job,
    waitingJob,
    runningJob,
    run,
    stream,
    spareStream,
    spareToken: (await api.token()).id,
    own: await ownFactor(api),
    takeDeviceCode,
    playNode,
  };
}

/** More than there are. */
const CASES_OF_AN_OPERATION = 20;

async function confirmedCodes(api: ApiServer, count: number): Promise<string[]> {
  const deps = { db: api.database.kysely, clock: systemClock };
  const { id } = await api.session('member');
  const session: SessionCaller = {
    kind: 'session',
    id,
    subject: 'eve',
    roles: ['member'],
    projects: [],
    assurance: { methods: ['issued'], factorAt: null },
  };
  const codes: string[] = [];
  while (codes.length < count) {
    const { deviceCode, userCode } = await startDeviceLogin(deps, { address: '127.0.0.1', stepUp: false });
    await decideDevice(deps, session, { letters: readUserCode(userCode) ?? '', approve: true });
    codes.push(deviceCode);
  }
  return codes;
}
