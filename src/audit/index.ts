/** The door of the room `audit`: what happened. */
export { type AuditLog, openAuditLog } from './append.ts';
export type { AuditEntry, AuditPhase, AuditRecord } from './record.ts';
export { redact } from './redact.ts';
export { type AuditPage, auditMigrations, recordsPage } from './store.ts';
export { type ChainReport, verifyChain } from './verify-chain.ts';
