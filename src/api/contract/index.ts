/** Every operation of our own API, by id. Tests, OpenAPI and the SDK read this list; a route without an entry cannot exist. */
import * as audit from './audit.ts';
import * as clusterFacts from './cluster-facts.ts';
import * as clusters from './clusters.ts';
import * as facility from './facility.ts';
import * as factors from './factors.ts';
import * as jobs from './jobs.ts';
import * as lockdown from './lockdown.ts';
import * as metrics from './metrics.ts';
import * as nodeLink from './node-link.ts';
import * as oauth from './oauth.ts';
import type { Operation } from './operation.ts';
import * as people from './people.ts';
import * as policy from './policy.ts';
import * as runs from './runs.ts';
import * as signIn from './sign-in.ts';
import * as streams from './streams.ts';
import * as terminals from './terminals.ts';
import * as tokens from './tokens.ts';

export const OPERATIONS = {
  'health.show': facility.health,
  'facility.show': facility.showFacility,
  'cluster.list': clusters.listClusters,
  'cluster.link': clusters.linkCluster,
  'cluster.partitions': clusterFacts.listPartitions,
  'cluster.nodes': clusterFacts.listNodes,
  'cluster.reservations': clusterFacts.listReservations,
  'cluster.diagnostics': clusterFacts.showDiagnostics,
  'cluster.history': clusterFacts.listHistory,
  'cluster.whole-history': clusterFacts.listWholeHistory,
  'cluster.foreign': clusterFacts.listForeign,
  'token.mint': tokens.mintToken,
  'token.list': tokens.listTokens,
  'token.show': tokens.showToken,
  'token.revoke': tokens.revokeToken,
  'token.tree': tokens.showTree,
  'self.delegate': tokens.delegateToken,
  'self.renew': tokens.renewSelf,
  'self.rotate': tokens.rotateSelf,
  'self.tree': tokens.showOwnTree,
  'self.show': tokens.showSelf,
  'self.revoke': tokens.revokeSelf,
  'login.device': signIn.startDeviceLogin,
  'login.poll': signIn.pollDeviceLogin,
  'job.submit': jobs.submitJob,
  'job.list': jobs.listJobs,
  'job.show': jobs.showJob,
  'job.cancel': jobs.cancelJob,
  'job.hold': jobs.holdJob,
  'job.release': jobs.releaseJob,
  'job.requeue': jobs.requeueJob,
  'job.update': jobs.updateJob,
  'job.signal': jobs.signalJob,
  'job.terminal': terminals.openJobTerminal,
  'job.output': jobs.readJobOutput,
  'job.follow': jobs.followJobOutput,
  'template.list': streams.listTemplates,
  'stream.create': streams.createStream,
  'stream.list': streams.listStreams,
  'stream.show': streams.showStream,
  'stream.extend': streams.extendStream,
  'stream.set': streams.setStream,
  'stream.pause': streams.pauseStream,
  'stream.resume': streams.resumeStream,
  'stream.drain': streams.drainStream,
  'stream.delete': streams.deleteStream,
  'stream.credential': streams.issueCredential,
  'run.create': runs.createRun,
  'run.list': runs.listRuns,
  'run.show': runs.showRun,
  'run.cancel': runs.cancelRun,
  'policy.explain': policy.explainPolicy,
  'audit.list': audit.listAudit,
  'audit.show': audit.showAudit,
  'audit.trace': audit.traceAudit,
  'audit.verify': audit.verifyAudit,
  'audit.key': audit.showAuditKey,
  'audit.checkpoint': audit.makeCheckpoint,
  'audit.checkpoints': audit.listCheckpoints,
  'factor.list': factors.listFactors,
  'factor.remove': factors.removeFactor,
  'factor.reset': factors.resetFactors,
  'lockdown.show': lockdown.showLockdown,
  'lockdown.set': lockdown.setLockdown,
  'lockdown.lift': lockdown.liftLockdown,
  'metrics.show': metrics.showMetrics,
  'oauth.metadata': oauth.showMetadata,
  'oauth.keys': oauth.showKeySet,
  'oauth.introspect': oauth.introspectOauth,
  'oauth.token': oauth.exchangeToken,
  'token.introspect': oauth.introspectToken,
  'self.hop-token': oauth.mintHopToken,
  'key.list': oauth.listKeys,
  'key.rotate': oauth.rotateKey,
  'person.import': people.importPeople,
  'import.list': people.listSources,
  'person.list': people.listPersons,
  'person.show': people.showPerson,
  'project.list': people.listProjects,
  'project.show': people.showProject,
  'project.usage': people.showUsage,
  'notice.list': people.listNotices,
  'notice.send': people.sendNotices,
  'node.sync': nodeLink.syncNode,
  'node.certify': nodeLink.certifyNode,
  'node.list': nodeLink.listNodes,
} as const satisfies Record<string, Operation>;

export type Operations = typeof OPERATIONS;
export type OperationId = keyof Operations;
export {
  type Answer,
  type Body,
  type BodyInput,
  type LimitClass,
  limitClassOf,
  type Operation,
  type Params,
  type Query,
  type QueryInput,
  type ServerEvent,
} from './operation.ts';
