/**
 * facility/sign-in.yaml: which identity providers a facility believes, what their claims mean here, and how long a sign-in lives.
 * Types, schema, and the reading of the file; the facility may leave the file out, then nobody signs in through a browser.
 */
import { existsSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { z } from 'zod';
import { nameSchema, readYamlSource, YamlError } from '../../facility/index.ts';
import { ROLES } from '../caller.ts';

export const SIGN_IN_FILE = 'sign-in.yaml';
/** The provider that `up --dev` starts; no file may list it. */
export const DEV_PROVIDER = 'dev';

const claimSchema = z.string().regex(/^[\x21-\x7e]{1,100}$/, 'the name of a claim');
const claimsSchema = z.strictObject({
  claim: claimSchema,
  values: z.record(z.string(), z.array(z.enum(ROLES)).min(1)),
});

const isLoopbackUrl = (url: URL): boolean => /^(localhost|\[::1\]|127\.\d+\.\d+\.\d+)$/.test(url.hostname);

const issuerSchema = z.string().refine((text) => {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return (
    url.search === '' &&
    url.hash === '' &&
    (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackUrl(url)))
  );
}, 'an https URL (plain http on loopback only)');

const providerSchema = z.strictObject({
  name: nameSchema.refine(
    (name) => name !== DEV_PROVIDER,
    `the name ${DEV_PROVIDER} is kept for the provider of up --dev`,
  ),
  title: z.string().min(1).max(80),
  issuer: issuerSchema,
  clientId: z.string().min(1).max(256),
  /** A 0600 file with the client secret; absent: a public client, PKCE alone. Relative to the facility folder. */
  clientSecretFile: z.string().min(1).optional(),
  scopes: z.array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/)).default(['openid', 'profile']),
  /** Which claim names the person here. One that the provider never gives to another person: many may change their preferred_username. */
  subject: z.strictObject({
    claim: claimSchema,
    prefix: z
      .string()
      .regex(/^[a-z0-9.:-]{0,40}$/)
      .default(''),
  }),
  /** Facility-wide roles by the values of a claim (a text or a list of texts). Everybody is a member. */
  roles: claimsSchema.optional(),
  /** Values of amr or acr that count as a second factor shown at the provider. */
  secondFactor: z
    .strictObject({ amr: z.array(z.string()).default([]), acr: z.array(z.string()).default([]) })
    .optional(),
});

const devAccountSchema = z.strictObject({
  subject: nameSchema,
  name: z.string().min(1).max(80),
  roles: z.array(z.enum(ROLES)).default(['member']),
  projects: z.array(nameSchema).default([]),
});

const hours = z.number().positive().max(24);

export const signInSchema = z.strictObject({
  sessions: z
    .strictObject({
      browserHours: hours.default(8),
      browserIdleMinutes: z.number().positive().max(1440).default(30),
      commandLineHours: hours.default(8),
    })
    .prefault({}),
  providers: z.array(providerSchema).default([]),
  dev: z.strictObject({ accounts: z.array(devAccountSchema) }).prefault({ accounts: [] }),
});

export type Provider = z.output<typeof providerSchema>;
export type DevAccount = z.output<typeof devAccountSchema>;
export type SignInSettings = z.output<typeof signInSchema>;

/** Throws YamlError naming every fault. No file: no providers. */
export function loadSignIn(facilityDir: string): SignInSettings {
  const file = join(facilityDir, SIGN_IN_FILE);
  if (!existsSync(file)) return signInSchema.parse({});
  const source = readYamlSource(file, signInSchema);
  const { providers, dev } = source.value;
  const faults = [
    ...twice(providers.map((p) => p.name)).map((i) =>
      source.fault(['providers', i, 'name'], 'this name is there twice'),
    ),
    ...twice(providers.map((p) => p.subject.prefix)).map((i) =>
      source.fault(
        ['providers', i, 'subject'],
        'two providers with the same subject.prefix could name two people alike: give this one its own',
      ),
    ),
    ...providers.flatMap((p, i) =>
      p.scopes.includes('openid') ? [] : [source.fault(['providers', i, 'scopes'], 'scopes must hold openid')],
    ),
    ...twice(dev.accounts.map((a) => a.subject)).map((i) =>
      source.fault(['dev', 'accounts', i, 'subject'], 'this subject is there twice'),
    ),
  ];
  if (faults.length > 0) throw new YamlError(faults);
  return {
    ...source.value,
    providers: providers.map((p) =>
      p.clientSecretFile === undefined || isAbsolute(p.clientSecretFile)
        ? p
        : { ...p, clientSecretFile: resolve(facilityDir, p.clientSecretFile) },
    ),
  };
}

/** Places of those that stood there before. */
function twice(names: readonly string[]): readonly number[] {
  return names.flatMap((name, i) => (names.indexOf(name) < i ? [i] : []));
}
