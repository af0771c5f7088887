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
