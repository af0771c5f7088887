/** Field types that several operations use. */
import { z } from 'zod';

export const nameField = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/, 'lower case letters, digits and hyphens, 1 to 40 characters')
  .describe('Lower case letters, digits and hyphens, 1 to 40 characters');
export const idField = (prefix: string) =>
  z.string().regex(new RegExp(`^${prefix}_[0-9a-z]{20}$`), `an id that starts with ${prefix}_`);
export const timeField = z.iso.datetime().describe('ISO 8601, UTC');
export const limitField = z.coerce.number().int().min(1).max(1000).default(100).describe('Items on a page, 1 to 1000');
/** Text that a database can hold: PostgreSQL knows no NUL character. */
export const textField = (max: number) =>
  z
    .string()
    .max(max)
    .refine((text) => !text.includes('\0'), 'must not hold a NUL character');
/** An id whose exact shape is checked by looking it up: a wrong one is not found. */
export const wordField = z.string().regex(/^[\x21-\x7e]{1,64}$/, '1 to 64 printable ASCII characters');
export const idParameter = z.strictObject({ id: wordField });

export const problemSchema = z
  .object({
    type: z.string(),
    code: z.string().describe('Stable; see docs/reference/problems.md'),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    remedy: z.string().describe('What to do next'),
    instance: z.string().optional(),
    errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
    rules: z.array(z.object({ rule: z.string(), detail: z.string() })).optional(),
    limit: z.string().optional().describe('The limit that was met, such as QOSGrpNodeLimit'),
  })
  .describe('RFC 9457 problem');

export const oauthErrorSchema = z
  .object({ error: z.string(), error_description: z.string() })
  .describe('OAuth 2.0 error (RFC 6749 section 5.2)');
