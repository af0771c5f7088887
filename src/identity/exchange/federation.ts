/**
 * facility/federation.yaml: whom hop tokens may be shown to, and which other issuers' identities are believed here, for what at most. Types, schema, and the
 * reading of the file; a facility may leave it out, then nobody from elsewhere is believed. docs/operate/federation.md.
 */
import { existsSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { z } from 'zod';
import { type Facility, nameSchema, readYamlSource, YamlError } from '../../facility/index.ts';
import { CLASSIFICATIONS } from '../caller.ts';
import { isScope, type Scope } from '../scope.ts';
import { parseRange } from '../source-ranges.ts';

export const FEDERATION_FILE = 'federation.yaml';

/** Signed with a key that only the issuer has: neither `none` nor a secret that we hold too. */
export const ALGORITHMS = [
  'Ed25519',
  'EdDSA',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
] as const;

const isLoopback = (url: URL): boolean => /^(localhost|\[::1\]|127\.\d+\.\d+\.\d+)$/.test(url.hostname);
const safeUrl = (text: string): boolean => {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  if (url.hash !== '' || url.username !== '') return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url));
};
const urlField = z.string().refine(safeUrl, 'an https URL (plain http on loopback only)');
const audienceField = z.string().regex(/^[\x21-\x7e]{1,200}$/, '1 to 200 printable characters without spaces');
const claimField = z.string().regex(/^[\x21-\x7e]{1,100}$/, 'the name of a claim');
const scopeField = z.custom<Scope>((value) => typeof value === 'string' && isScope(value), 'is no scope');
const sourceField = z.string().refine((text) => parseRange(text) !== undefined, 'is no address or CIDR');

const grantSchema = z.strictObject({
  project: nameSchema,
  /** All of one enclave. */
  environments: z.array(nameSchema).min(1).max(16),
  scopes: z.array(scopeField).min(1).max(32),
  /** Who gets it: a claim (a text or a list of texts) with one of these values. Absent: whoever the issuer vouches for. */
  who: z.strictObject({ claim: claimField, values: z.array(z.string().min(1)).min(1) }).optional(),
  purpose: nameSchema.optional(),
  classification: z.enum(CLASSIFICATIONS).default('public'),
  sources: z.array(sourceField).max(64).default([]),
});

const issuerSchema = z
  .strictObject({
    /** In the subject of a token here: person@name. */
    name: nameSchema,
    title: z.string().min(1).max(80).optional(),
    /** The `iss` claim, exactly. */
    issuer: urlField,
    /** Where its keys are; or a file with them, for an issuer that cannot be reached from here. */
    jwksUri: urlField.optional(),
    jwksFile: z.string().min(1).optional(),
    algorithms: z.array(z.enum(ALGORITHMS)).min(1),
    /** The `aud` claim, exactly and alone: our name at that issuer. */
    audience: audienceField,
    /** The `typ` header, where the issuer sets one of its own (another Beamway: beamway-hop+jwt). */
    typ: z.string().min(1).max(80).optional(),
    person: z.strictObject({ claim: claimField }).default({ claim: 'sub' }),
    /** How the person must have signed in there. */
    requires: z
      .strictObject({
        acr: z.array(z.string().min(1)).min(1).optional(),
        amr: z.array(z.string().min(1)).min(1).optional(),
        maxAuthAgeMinutes: z.number().positive().max(1440).optional(),
      })
      .prefault({}),
    /** A subject token that was issued longer ago is refused, whatever its own end. */
    maxAgeSeconds: z.int().min(1).max(86_400).default(600),
    maxLifetimeSeconds: z.int().min(1).max(86_400).default(3600),
    grants: z.array(grantSchema).min(1).max(100),
  })
  .refine((i) => (i.jwksUri === undefined) !== (i.jwksFile === undefined), 'name one of jwksUri and jwksFile');

const federationSchema = z.strictObject({
  audiences: z.array(audienceField).max(100).default([]),
  issuers: z.array(issuerSchema).max(100).default([]),
});

export type Federation = z.output<typeof federationSchema>;
export type TrustedIssuer = Federation['issuers'][number];
export type Grant = TrustedIssuer['grants'][number];

/** Where in the file, and what is wrong there. */
type Fault = readonly [readonly PropertyKey[], string];

/** Throws YamlError naming every fault by line and column. No file: nobody is believed. */
export function loadFederation(facility: Facility): Federation {
  const file = join(facility.directory, FEDERATION_FILE);
  if (!existsSync(file)) return federationSchema.parse({});
  const source = readYamlSource(file, federationSchema);
  const { issuers } = source.value;
  const found: readonly Fault[] = [
    ...twice(issuers.map((i) => i.name)).map((i): Fault => [['issuers', i, 'name'], 'this name is there twice']),
    ...twice(issuers.map((i) => i.issuer)).map(
      (i): Fault => [['issuers', i, 'issuer'], 'this issuer is there twice: put all its grants into one entry'],
    ),
    ...issuers.flatMap((issuer, i) =>
      issuer.grants.flatMap((grant, j) =>
        grantFaults(facility, issuer, grant).map(
          ([field, detail]): Fault => [['issuers', i, 'grants', j, ...field], detail],
        ),
      ),
    ),
  ];
  if (found.length > 0) throw new YamlError(found.map(([path, detail]) => source.fault(path, detail)));
  return {
    ...source.value,
    issuers: issuers.map((issuer) =>
      issuer.jwksFile === undefined || isAbsolute(issuer.jwksFile)
        ? issuer
        : { ...issuer, jwksFile: resolve(facility.directory, issuer.jwksFile) },
    ),
  };
}

function grantFaults(facility: Facility, issuer: TrustedIssuer, grant: Grant): readonly Fault[] {
  const project = facility.projects.get(grant.project);
  if (project === undefined) return [[['project'], `no project ${grant.project}`]];
  const outside = grant.environments.flatMap((name, k): Fault[] => {
    if (!facility.environments.has(name)) return [[['environments', k], `no environment ${name}`]];
    return project.environments.includes(name)
      ? []
      : [[['environments', k], `project ${project.name} is not in ${name}`]];
  });
  const enclaves = new Set(grant.environments.map((name) => facility.environments.get(name)?.enclave));
  const { acr, amr } = issuer.requires;
  const faults = [...outside];
  if (enclaves.has('open') && enclaves.has('moderate'))
    faults.push([['environments'], 'one grant is for one enclave; write two']);
  if (enclaves.has('moderate') && acr === undefined && amr === undefined)
    faults.push([['environments'], 'the moderate enclave needs requires.acr or requires.amr: a second factor there']);
  return faults;
}

/** Places of those that stood there before. */
function twice(names: readonly string[]): readonly number[] {
  return names.flatMap((name, i) => (names.indexOf(name) < i ? [i] : []));
}
