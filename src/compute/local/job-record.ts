/**
 * What is kept of a job in `jobs/<id>/job.json`, and of each of its attempts. The folder is the cluster's truth about a
 * job; this record is written anew whenever something lasting changes. No I/O here.
 */
import type { AttemptOutcome, NativeJobState, SchedulerJobSpec } from '../scheduler.ts';

/** The script and the claims lie in files of their own. */
export interface RecordedSpec extends Omit<SchedulerJobSpec, 'script' | 'claims'> {
  readonly claims: number;
}

export interface AttemptRecord {
  readonly attempt: number;
  readonly placedAtMs: number;
  readonly placement: readonly { readonly node: string; readonly slots: readonly number[] }[];
  readonly cookie: string;
  /** The boot of the machine it was placed in; in another one it cannot run, and whether it did is not known. */
  readonly bootId: string;
  readonly startedAtMs?: number;
  readonly endedAtMs?: number;
  readonly outcome?: AttemptOutcome;
  readonly exitCode?: number;
  readonly signal?: string;
  readonly detail?: string;
}

export interface JobRecord {
  readonly version: 1;
  readonly nativeId: string;
  readonly serial: number;
  readonly spec: RecordedSpec;
  readonly submittedAtMs: number;
  readonly attempts: readonly AttemptRecord[];
  readonly ended?: { readonly state: NativeJobState; readonly reason: string; readonly atMs: number };
}

export function lastAttempt(record: JobRecord): AttemptRecord | undefined {
  return record.attempts.at(-1);
}

/** The attempt that holds slots, if any. */
export function openAttempt(record: JobRecord): AttemptRecord | undefined {
  const last = lastAttempt(record);
  return last !== undefined && last.outcome === undefined ? last : undefined;
}

export function withAttempt(record: JobRecord, attempt: AttemptRecord): JobRecord {
  return { ...record, attempts: [...record.attempts.filter((a) => a.attempt !== attempt.attempt), attempt] };
}

/** Throws when the text of a job.json is not one of ours: it is written whole, so that means a damaged disk or a stranger's hand. */
export function parseJobRecord(value: unknown): JobRecord {
  const record = value as Partial<JobRecord> | null;
  if (typeof record !== 'object' || record === null) throw new TypeError('not an object');
  if (record.version !== 1) throw new TypeError(`version ${String(record.version)} is not known`);
  const { nativeId, serial, spec, attempts, submittedAtMs } = record;
  if (typeof nativeId !== 'string' || typeof serial !== 'number' || typeof submittedAtMs !== 'number')
    throw new TypeError('a field is missing');
  if (typeof spec !== 'object' || spec === null || !Array.isArray(attempts)) throw new TypeError('a field is missing');
  if (typeof spec.key !== 'string' || typeof spec.tier !== 'string') throw new TypeError('its spec is incomplete');
  if (!Number.isInteger(spec.nodes) || !Number.isInteger(spec.slotsPerNode))
    throw new TypeError('its spec is incomplete');
  return value as JobRecord;
}
