/**
 * This room on a fresh database, for tests: the example facility with small nodes, a clock that can be moved on, and agents that are
 * played by hand. Owns nothing beyond the test.
 */
import { openAuditLog } from '../audit/index.ts';
import { type Clock, systemClock } from '../clock.ts';
import type { Queries } from '../database/index.ts';
import { type TestScope, testDatabase } from '../database/testing.ts';
import { type Facility, loadFacility, type StreamingNode } from '../facility/index.ts';
import { type Caller, issueToken, loadTokenRules, systemCaller, type TokenCaller } from '../identity/index.ts';
import type { Target } from '../policy/index.ts';
import { MIGRATIONS } from '../server.ts';
import { type CreateStreamInput, createStream } from './create-stream.ts';
import type { StreamingDeps } from './deps.ts';
import { loadTemplates } from './load-templates.ts';
import { nodeWaiters } from './node-waiters.ts';
import { registerNodes } from './store.ts';
import type { Observed, Stream } from './stream.ts';
import { type NodeAnswer, type NodeReport, syncNode } from './sync-node.ts';

const EXAMPLE = new URL('../../facility', import.meta.url).pathname;

export interface StreamingTest {
  readonly deps: StreamingDeps;
  readonly db: Queries;
  readonly target: Target;
  /** A project access token as a caller; its row is in the database. */
  token(): Promise<TokenCaller>;
  /** Lets time pass for this room. */
  passMs(ms: number): void;
  create(caller: Caller, change?: Partial<CreateStreamInput>): Promise<Stream>;
  /** One turn of a node's agent that holds `streams`, all ready. Waits for nothing unless told. */
  sync(node: string, streams: readonly string[], change?: Partial<NodeReport>): Promise<NodeAnswer>;
}

export const nodeNamed = (name: string, capacity: StreamingNode['capacity']): StreamingNode => ({
  name,
  external: 'external',
  compute: 'compute',
  hostnames: [],
  capacity,
  ports: { from: 0, to: 0 },
});

export async function streamingTest(
  t: TestScope,
  nodes: readonly StreamingNode[] = [nodeNamed('dsn01', { streams: 50, bufferBytes: 2 ** 32 })],
): Promise<StreamingTest> {
  const { database } = await testDatabase(t, MIGRATIONS);
  const db = database.kysely;
  const facility: Facility = { ...loadFacility(EXAMPLE), streamingNodes: nodes };
  let aheadMs = 0;
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + aheadMs };
  await registerNodes(
    db,
    nodes.map((n) => n.name),
  );
  const deps: StreamingDeps = {
    db,
    clock,
    facility,
    templates: loadTemplates(facility),
    waiters: nodeWaiters(clock),
    audit: openAuditLog(db),
    // Played: certificates are tested in identity/authority and over HTTP.
    authority: { certificatePem: '', signNode: () => Promise.reject(new Error('not in this test')) },
    expireAt: async () => undefined,
  };
  const project = facility.projects.get('demo');
  const environment = facility.environments.get('ace');
  if (project === undefined || environment === undefined) throw new Error('the example facility has demo and ace');
  const target = { project, environment };
  return {
    deps,
    db,
    target,
    async token() {
      const { token } = await issueToken(
        { db, clock, facility, rules: loadTokenRules(EXAMPLE) },
        systemCaller('test'),
        {
          project: 'demo',
          environments: ['ace'],
          scopes: ['stream:create', 'stream:connect'],
          lifetimeSeconds: 3600,
        },
      );
      return {
        kind: 'token',
        id: token.id,
        subject: 'test',
        project: 'demo',
        enclave: 'open',
        environments: ['ace'],
        scopes: token.scopes,
        purpose: '',
        classification: 'public',
      };
    },
    passMs(ms) {
      aheadMs += ms;
    },
    create: (caller, change = {}) =>
      createStream(deps, caller, {
        target,
        name: 'a',
        template: 'lcls-results',
        parameters: { bufferBytes: 65_536 },
        key: null,
        requestId: 'req_1',
        ...change,
      }),
    sync: (node, streams, change = {}) =>
      syncNode(
        deps,
        { kind: 'node', id: `tok_${node}`, subject: node },
        {
          node,
          knownVersion: 0,
          appliedVersion: 0,
          claimUrl: 'http://127.0.0.1:1/claim',
          waitMs: 0,
          streams: streams.map(ready),
          events: [],
          ...change,
        },
        new AbortController().signal,
      ),
  };
}

const ready = (stream: string): Observed => ({
  stream,
  state: 'ready',
  reason: '',
  endpoints: { producer: 'tcp://127.0.0.1:1', consumer: 'tcp://127.0.0.1:1' },
  counters: {
    messagesIn: 0,
    messagesOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    dropped: 0,
    redelivered: 0,
    buffered: 0,
    bufferedBytes: 0,
    producers: 0,
    consumers: 0,
    refused: 0,
  },
  connections: [],
});
