/**
 * One record of the audit log and the chain that binds it: digest = SHA-256(previous digest || canonical text). The
 * canonical text is a JSON array of the fields in a fixed order, so that no field can be moved into another.
 */
import { createHash } from 'node:crypto';

export type AuditPhase = 'intent' | 'outcome' | 'denied' | 'event';

/** What a caller of `append` gives. `detail` must hold nothing secret: see redact.ts. */
export interface AuditEntry {
  readonly at: Date;
  readonly requestId: string;
  readonly phase: AuditPhase;
  readonly callerKind: string;
  readonly callerId: string;
  readonly subject: string;
  readonly project: string | null;
  readonly action: string;
  /** What it was done to, for example `job/job_…`; empty where nothing exists yet. */
  readonly resource: string;
  /** HTTP status of the answer, or null where there is none (yet). */
  readonly status: number | null;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface AuditRecord extends AuditEntry {
  /** 1, 2, 3, … without a gap. */
  readonly sequence: number;
  readonly digest: Buffer;
}

/** The digest before the first record: 32 zero bytes. */
export const CHAIN_START = Buffer.alloc(32);

export function chainDigest(previous: Buffer, sequence: number, entry: AuditEntry, detailText: string): Buffer {
  const canonical = JSON.stringify([
    sequence,
    entry.at.toISOString(),
    entry.requestId,
    entry.phase,
    entry.callerKind,
    entry.callerId,
    entry.subject,
    entry.project,
    entry.action,
    entry.resource,
    entry.status,
    detailText,
  ]);
  return createHash('sha256').update(previous).update(canonical).digest();
}
