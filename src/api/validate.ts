/** Parses path, query, body and headers by the operation's schemas; one problem names every failing field. */
import type { z } from 'zod';
import { type FieldError, Problem } from '../problems.ts';
import type { Exchange } from './exchange.ts';

/** A body nested deeper than any of ours: serialising it again (audit, digest) would exhaust the stack. */
const DEEPEST = 64;
const KEY_SHAPE = /^[\x21-\x7e]{1,200}$/;

export function validateParts(exchange: Exchange): void {
  const { operation, raw } = exchange;
  const errors: FieldError[] = [];
  const parse = (schema: z.ZodType, value: unknown, prefix: string): unknown => {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    for (const issue of result.error.issues) errors.push(...fieldErrors(issue, prefix));
    return undefined;
  };
  exchange.params = parse(operation.params, raw.params, 'path:/') as Record<string, unknown>;
  exchange.query = parse(operation.query, raw.query, 'query:/') as Record<string, unknown>;
  if (operation.body !== undefined && isTooDeep(raw.body))
    errors.push({ pointer: '#/', detail: `nested deeper than ${DEEPEST} levels` });
  else if (operation.body !== undefined) exchange.body = parse(operation.body, raw.body ?? {}, '#/');
  const key = exchange.idempotencyHeader;
  if (operation.idempotent && key !== undefined) {
    if (KEY_SHAPE.test(key)) exchange.idempotencyKey = key;
    else errors.push({ pointer: 'header:/Idempotency-Key', detail: '1 to 200 printable ASCII characters' });
  }
  if (errors.length > 0)
    throw new Problem(
      'invalid-request',
      `${errors.length} field${errors.length === 1 ? '' : 's'} cannot be accepted.`,
      { errors },
    );
}

function isTooDeep(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; depth <= DEEPEST; depth++) {
    level = level.flatMap((v) => (typeof v === 'object' && v !== null ? Object.values(v) : []));
    if (level.length === 0) return false;
  }
  return true;
}

function fieldErrors(issue: z.core.$ZodIssue, prefix: string): FieldError[] {
  const pointer = prefix + issue.path.map(escaped).join('/');
  if (issue.code !== 'unrecognized_keys') return [{ pointer, detail: issue.message }];
  const base = pointer.endsWith('/') ? pointer : `${pointer}/`;
  return issue.keys.map((key) => ({ pointer: base + escaped(key), detail: 'unknown field' }));
}

/** RFC 6901 section 3. */
function escaped(key: PropertyKey): string {
  return String(key).replaceAll('~', '~0').replaceAll('/', '~1');
}
