/** Parsers of option values; each throws commander's InvalidArgumentError with what it wants, so that the exit code is 2. */
import { InvalidArgumentError } from 'commander';

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `90s`, `30m`, `24h`, `7d`, or plain seconds; in seconds. */
export function duration(text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)([smhd]?)$/.exec(text);
  const seconds =
    match === null ? Number.NaN : Number(match[1]) * (UNITS[match[2] === '' ? 's' : (match[2] ?? 's')] ?? Number.NaN);
  if (!(seconds > 0)) throw new InvalidArgumentError('Write a duration such as 90s, 30m, 24h or 7d.');
  return Math.round(seconds);
}

export function positiveInteger(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('Write a whole number from 1.');
  return Number(text);
}

/** Collects `KEY=VALUE` options into one record. */
export function keyValue(text: string, earlier: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Write KEY=VALUE.');
  return { ...earlier, [text.slice(0, at)]: text.slice(at + 1) };
}

/** A parameter's value: JSON where it is JSON (numbers, lists), else the text itself. */
export function parameters(text: string, earlier: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const [[name = '', value = ''] = []] = Object.entries(keyValue(text));
  try {
    return { ...earlier, [name]: JSON.parse(value) };
  } catch {
    return { ...earlier, [name]: value };
  }
}

export interface AttachmentText {
  readonly name: string;
  readonly stream: string;
  readonly role: 'producer' | 'consumer';
}

/** `NAME=STREAM_ID:ROLE`, for example `frames=str_…:consumer`. */
export function attachment(text: string, earlier: readonly AttachmentText[] = []): AttachmentText[] {
  const match = /^([a-z0-9-]+)=(str_[0-9a-z]+):(producer|consumer)$/.exec(text);
  const [, name, stream, role] = match ?? [];
  if (name === undefined || stream === undefined || (role !== 'producer' && role !== 'consumer'))
    throw new InvalidArgumentError('Write NAME=STREAM_ID:producer or NAME=STREAM_ID:consumer.');
  return [...earlier, { name, stream, role }];
}

export function list(text: string, earlier: readonly string[] = []): string[] {
  return [...earlier, ...text.split(',').filter((t) => t !== '')];
}

export interface TaskRangeText {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  readonly atOnce?: number;
}

/** `0-99`, `0-99:2` (every second), `0-99%10` (ten at a time), `7`; as sbatch writes it, without lists. */
export function taskRange(text: string): TaskRangeText {
  const [, first, last = first, step = '1', atOnce] =
    /^(\d{1,7})(?:-(\d{1,7}))?(?::([1-9]\d{0,6}))?(?:%([1-9]\d{0,6}))?$/.exec(text) ?? [];
  if (first === undefined || Number(last) < Number(first))
    throw new InvalidArgumentError('Write FIRST-LAST, such as 0-99, 0-99:2 (every second) or 0-99%10 (ten at a time).');
  const range = { first: Number(first), last: Number(last), step: Number(step) };
  return atOnce === undefined ? range : { ...range, atOnce: Number(atOnce) };
}

export function naturalNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Write a whole number from 0.');
  return Number(text);
}

/** `+2h` from now, or a date such as 2026-12-01T08:00 (in the zone of this machine) or 2026-12-01T08:00Z; as ISO 8601 in UTC. */
export function pointInTime(text: string, nowMs: number = Date.now()): string {
  if (text.startsWith('+')) return new Date(nowMs + duration(text.slice(1)) * 1000).toISOString();
  const isDate = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2})?)?$/.test(text);
  // A day alone would be midnight in UTC to JavaScript, and here to everybody else.
  const ms = isDate ? Date.parse(text.length === 10 ? `${text}T00:00` : text) : Number.NaN;
  if (!Number.isFinite(ms))
    throw new InvalidArgumentError('Write +2h, 2026-12-01, 2026-12-01T08:00 or 2026-12-01T08:00Z.');
  return new Date(ms).toISOString();
}

const MEBIBYTES: Readonly<Record<string, number>> = { M: 1, G: 1024, T: 1_048_576 };

/** `512M`, `4G`, `1T`, or plain MiB; in MiB. */
export function memory(text: string): number {
  const [, count, unit = 'M'] = /^([1-9]\d{0,8})([MGT]?)$/.exec(text) ?? [];
  const mebibytes = Number(count) * (MEBIBYTES[unit === '' ? 'M' : unit] ?? Number.NaN);
  if (!(mebibytes > 0)) throw new InvalidArgumentError('Write memory such as 512M, 4G or 1T.');
  return mebibytes;
}

const WHENS = ['started', 'ended', 'succeeded', 'failed'] as const;

export interface DependencyText {
  readonly job: string;
  readonly when: (typeof WHENS)[number];
}

/** `JOB_ID`, or `JOB_ID:started`, `:ended`, `:succeeded` (the default), `:failed`. Collects. */
export function dependency(text: string, earlier: readonly DependencyText[] = []): DependencyText[] {
  const [job = '', word = 'succeeded', ...more] = text.split(':');
  const when = WHENS.find((w) => w === word);
  if (!/^job_[0-9a-z]+$/.test(job) || when === undefined || more.length > 0)
    throw new InvalidArgumentError('Write JOB_ID:started, JOB_ID:ended, JOB_ID:succeeded or JOB_ID:failed.');
  return [...earlier, { job, when }];
}
