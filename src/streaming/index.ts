/** The door of the room `streaming`: memory to memory, control side. */
export { applyLockdown } from './apply-lockdown.ts';
export { certifyNode } from './certify-node.ts';
export {
  type ClaimTicket,
  checkAttachments,
  claimStreams,
  releaseClaims,
  type StreamAttachment,
} from './claim-streams.ts';
export { type CreateStreamInput, createStream } from './create-stream.ts';
export type { StreamingDeps } from './deps.ts';
export { drainStream } from './drain-stream.ts';
export { expireStreams } from './expire-streams.ts';
export { extendStream } from './extend-stream.ts';
export { type IssuedCredential, issueCredential } from './issue-credential.ts';
export { loadTemplates } from './load-templates.ts';
export { type NodeWaiters, nodeWaiters } from './node-waiters.ts';
export { noteExpiring } from './note-expiring.ts';
export { pauseStream } from './pause-stream.ts';
export { pendingNodes } from './pending-nodes.ts';
export { type PendingRevocation, pendingRevocations } from './pending-revocations.ts';
export { releaseStream } from './release-stream.ts';
export { revokeIssued } from './revoke-issued.ts';
export { setStream } from './set-stream.ts';
export { enginesOf, liveStreams, nodeRows, registerNodes, streamById, streamsPage } from './store.ts';
export { NODE_SILENT_MS, type Stream, streamState } from './stream.ts';
export { syncNode } from './sync-node.ts';
export { streamingMigrations } from './tables-store.ts';
export type { Template } from './template.ts';
export { diffTemplates, type StaleStream, staleStreams, type TemplateChange } from './template-diff.ts';
