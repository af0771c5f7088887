/**
 * What a browser sends back from a passkey ceremony, before anything of it is believed: its shape, its size, and the client data that the
 * browser itself wrote (challenge, origin). W3C WebAuthn Level 3, sections 5.8.1 and 5.1; the cryptography is @simplewebauthn/server's.
 */
import { z } from 'zod';
import { Problem } from '../../problems.ts';

const LONGEST_FIELD = 16_384;
const LONGEST_ID = 1400;
const base64url = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[A-Za-z0-9_-]+$/);

const transport = z.enum(['ble', 'cable', 'hybrid', 'internal', 'nfc', 'smart-card', 'usb']);

const common = {
  id: base64url(LONGEST_ID),
  rawId: base64url(LONGEST_ID),
  type: z.literal('public-key'),
};

const registrationSchema = z.object({
  ...common,
  response: z.object({
    clientDataJSON: base64url(LONGEST_FIELD),
    attestationObject: base64url(LONGEST_FIELD),
    transports: z.array(transport).max(8).default([]),
  }),
});

const assertionSchema = z.object({
  ...common,
  response: z.object({
    clientDataJSON: base64url(LONGEST_FIELD),
    authenticatorData: base64url(LONGEST_FIELD),
    signature: base64url(LONGEST_FIELD),
    userHandle: base64url(LONGEST_ID).nullish(),
  }),
});

const clientDataSchema = z.object({ type: z.string(), challenge: base64url(200), origin: z.string().max(500) });

export type PasskeyRegistration = z.output<typeof registrationSchema>;
export type PasskeyAssertion = z.output<typeof assertionSchema>;
export type ClientData = z.output<typeof clientDataSchema>;

/** Throws `invalid-request`; what came is not quoted. */
export function parseRegistration(given: unknown): PasskeyRegistration {
  return parsed(registrationSchema, given);
}

/** Throws `invalid-request`. */
export function parseAssertion(given: unknown): PasskeyAssertion {
  return parsed(assertionSchema, given);
}

/** Throws `invalid-request`. */
export function parseClientData(base64: string): ClientData {
  let data: unknown;
  try {
    data = JSON.parse(Buffer.from(base64, 'base64url').toString('utf8'));
  } catch {
    data = undefined;
  }
  return parsed(clientDataSchema, data);
}

function parsed<S extends z.ZodType>(schema: S, given: unknown): z.output<S> {
  const result = schema.safeParse(given);
  if (!result.success) throw new Problem('invalid-request', 'This is no answer of a passkey.');
  return result.data;
}
