/** Every operation of our own API, by id. Tests, OpenAPI and the SDK read this list; a route without an entry cannot exist. */
import * as audit from './audit.ts';
import * as facility from './facility.ts';
import * as jobs from './jobs.ts';
import * as nodeLink from './node-link.ts';
import type { Operation } from './operation.ts';
import * as policy from './policy.ts';
import * as runs from './runs.ts';
import * as streams from './streams.ts';
import * as tokens from './tokens.ts';

export const OPERATIONS = {
  'health.show': facility.health,
  'facility.show': facility.showFacility,
  'cluster.list': facility.listClusters,
  'token.mint': tokens.mintToken,
  'token.list': tokens.listTokens,
  'token.show': tokens.showToken,
  'token.revoke': tokens.revokeToken,
  'token.tree': tokens.showTree,
  'self.delegate': tokens.delegateToken,
  'self.tree': tokens.showOwnTree,
  'self.show': tokens.showSelf,
  'self.revoke': tokens.revokeSelf,
  'job.submit': jobs.submitJob,
  'job.list': jobs.listJobs,
  'job.show': jobs.showJob,
  'job.cancel': jobs.cancelJob,
  'job.output': jobs.readJobOutput,
  'template.list': streams.listTemplates,
  'stream.create': streams.createStream,
  'stream.list': streams.listStreams,
  'stream.show': streams.showStream,
  'stream.extend': streams.extendStream,
  'stream.delete': streams.deleteStream,
  'stream.credential': streams.issueCredential,
  'run.create': runs.createRun,
  'run.list': runs.listRuns,
  'run.show': runs.showRun,
  'run.cancel': runs.cancelRun,
  'policy.explain': policy.explainPolicy,
  'audit.list': audit.listAudit,
  'audit.verify': audit.verifyAudit,
  'node.sync': nodeLink.syncNode,
  'node.list': nodeLink.listNodes,
} as const satisfies Record<string, Operation>;

export type Operations = typeof OPERATIONS;
export type OperationId = keyof Operations;
export type { Answer, Body, BodyInput, Operation, Params, Query, QueryInput } from './operation.ts';
