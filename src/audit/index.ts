/** The door of the room `audit`: what happened. */
export { type AuditLog, openAuditLog } from './append.ts';
export { type AuditRules, readAuditRules } from './audit-rules.ts';
export {
  type Checkpoint,
  type CheckpointJson,
  type CheckpointSigner,
  checkpointJson,
  keyIdOf,
  type TrustedKeys,
} from './checkpoint.ts';
export { readCheckpointFile } from './checkpoint-file.ts';
export { checkpointsFrom } from './checkpoint-store.ts';
export { type PrunedPeriod, PruneRefused, pruneLog } from './prune-log.ts';
export type { AuditEntry, AuditPhase, AuditRecord } from './record.ts';
export { type RecordJson, recordJson } from './record-json.ts';
export { redact } from './redact.ts';
export { sealChain } from './seal-chain.ts';
export { type AuditKeys, openAuditKeys } from './signing-key.ts';
export { type AuditFilter, type AuditPage, recordAt, recordsPage } from './store.ts';
export { auditMigrations } from './tables-store.ts';
export { BrokenChainError, type SealDeps, takeCheckpoint } from './take-checkpoint.ts';
export { type Story, traceStory } from './trace-story.ts';
export { type BreakType, type ChainReport, type OutsideWitness, verifyChain } from './verify-chain.ts';
export { type ExportReport, verifyRecords } from './verify-records.ts';
