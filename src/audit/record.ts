/**
 * One record of the audit log and the chain that binds it: digest = SHA-256(previous digest || canonical text). The
 * canonical text is a JSON array of the fields in a fixed order, so that no field can be moved into another.
 */
import { hash } from 'node:crypto';

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

/** An entry that the database takes as it is, so that no record can make those fail that are written with it. */
export interface StorableEntry extends AuditEntry {
  /** `detail` as it is stored and hashed. */
  readonly detailText: string;
}

/** PostgreSQL's first year; what is before it would fail the whole batch. */
const FIRST_YEAR = -4712;

/** Throws RangeError for a time that is none or that no database holds, or a detail nested without end. */
export function storable(entry: AuditEntry): StorableEntry {
  // PostgreSQL's text holds no NUL and no half of a surrogate pair; what is hashed must be what is read back.
  const clean = (text: string): string => (text.includes('\0') ? text.replaceAll('\0', '\ufffd') : text).toWellFormed();
  if (Number.isNaN(entry.at.getTime())) throw new RangeError('the time of an audit record is no time');
  if (entry.at.getUTCFullYear() < FIRST_YEAR) throw new RangeError('the time of an audit record is before all history');
  return {
    ...entry,
    requestId: clean(entry.requestId),
    callerKind: clean(entry.callerKind),
    callerId: clean(entry.callerId),
    subject: clean(entry.subject),
    project: entry.project === null ? null : clean(entry.project),
    action: clean(entry.action),
    resource: clean(entry.resource),
    detailText: JSON.stringify(entry.detail),
  };
}

/** The digest before the first record: 32 zero bytes. */
export const CHAIN_START = Buffer.alloc(32);

/** A record's fields as they are hashed. */
export interface HashedFields extends Omit<StorableEntry, 'at' | 'detail'> {
  readonly sequence: number;
  /** ISO 8601 with milliseconds, UTC. */
  readonly time: string;
}

/** Written over by each call; a record is hashed in one pass, without a copy of its own. */
const scratch = Buffer.alloc(65_536);

export function digestOf(previous: Buffer, fields: HashedFields): Buffer {
  const canonical = JSON.stringify([
    fields.sequence,
    fields.time,
    fields.requestId,
    fields.phase,
    fields.callerKind,
    fields.callerId,
    fields.subject,
    fields.project,
    fields.action,
    fields.resource,
    fields.status,
    fields.detailText,
  ]);
  // At most three bytes of UTF-8 for each UTF-16 unit.
  if (32 + canonical.length * 3 > scratch.length)
    return hash('sha256', Buffer.concat([previous, Buffer.from(canonical)]), 'buffer');
  previous.copy(scratch);
  return hash('sha256', scratch.subarray(0, 32 + scratch.write(canonical, 32)), 'buffer');
}

export function chainDigest(previous: Buffer, sequence: number, entry: StorableEntry): Buffer {
  return digestOf(previous, { ...entry, sequence, time: entry.at.toISOString() });
}
