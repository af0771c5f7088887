/**
 * facility/people.yaml: where people, projects and allocations come from, what an imported project gets, what becomes of tokens when somebody leaves,
 * and who is told before something ends. The facility may leave the file out: then nothing is imported.
 */
import { existsSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { z } from 'zod';
import { type Facility, nameSchema, readYamlSource, YamlError } from '../../facility/index.ts';
import { DEV_SOURCE } from './people-store.ts';
import { FACILITY_ROLES, SUBJECT } from './person.ts';

export const PEOPLE_FILE = 'people.yaml';

const facilityRole = z.enum(FACILITY_ROLES);
const command = z
  .array(z.string().min(1).max(4096))
  .min(1)
  .refine((argv) => isAbsolute(argv[0] ?? ''), 'the program by its absolute path, then its arguments');
const attribute = z.string().regex(/^[A-Za-z][A-Za-z0-9-]{0,100}$/, 'the name of an LDAP attribute');

const everySource = {
  name: nameSchema.refine((name) => name !== DEV_SOURCE, `the name ${DEV_SOURCE} is kept for up --dev`),
  /** Read it so often; absent: only with `beamway import`. */
  syncMinutes: z.number().min(1).max(10_080).optional(),
  /** Before each name of a person, as `subject.prefix` of the identity provider in sign-in.yaml. */
  subjectPrefix: z
    .string()
    .regex(/^[A-Za-z0-9.:-]{0,40}$/)
    .default(''),
  /** Larger shares of members that would end need --force. */
  maxEndedShare: z.number().min(0).max(1).optional(),
};

const csvSource = z.strictObject({
  ...everySource,
  kind: z.literal('csv'),
  /** With people.csv, projects.csv, memberships.csv, allocations.csv, or some of them; absent: uploads only. */
  folder: z.string().min(1).optional(),
});

const slurmSource = z.strictObject({
  ...everySource,
  kind: z.literal('slurm'),
  /** Prints the associations; see docs/operate/people.md for its exact arguments. */
  associations: z.union([z.strictObject({ command }), z.strictObject({ file: z.string().min(1) })]),
  /** Prints accounts with their coordinators; absent: nobody leads. */
  accounts: z.union([z.strictObject({ command }), z.strictObject({ file: z.string().min(1) })]).optional(),
  timeoutSeconds: z.number().min(1).max(600).default(60),
  /** Slurm's name of a cluster: ours. Default: the same. */
  clusters: z.record(z.string(), nameSchema).default({}),
  /** An account's name: the project's. Default: the same. */
  rename: z.record(z.string(), nameSchema).default({}),
  ignoreAccounts: z.array(z.string()).default(['root']),
  /** `fold`: users of a sub-account are members of the project of its topmost account. */
  nested: z.enum(['separate', 'fold']).default('separate'),
  /** Where GrpTRESMins bounds cpu and not node; by our name of the cluster. */
  coresPerNode: z.record(nameSchema, z.int().min(1)).default({}),
});

const isLoopback = (host: string): boolean => /^(localhost|\[::1\]|127\.\d+\.\d+\.\d+)$/.test(host);

const ldapSource = z
  .strictObject({
    ...everySource,
    kind: z.literal('ldap'),
    url: z
      .string()
      .refine((text) => URL.canParse(text) && /^ldaps?:$/.test(new URL(text).protocol), 'an ldap:// or ldaps:// URL'),
    startTls: z.boolean().default(false),
    /** PEM of the authority that signed the server's certificate; absent: those of the system. */
    caFile: z.string().min(1).optional(),
    bindDn: z.string().min(1).optional(),
    /** 0600. */
    bindPasswordFile: z.string().min(1).optional(),
    timeoutSeconds: z.number().min(1).max(600).default(30),
    pageSize: z.int().min(1).max(10_000).default(500),
    people: z.strictObject({
      base: z.string().min(1),
      filter: z.string().min(3).default('(objectClass=posixAccount)'),
      subject: attribute.default('uid'),
      name: attribute.default('cn'),
      mail: attribute.default('mail'),
      /** Who is listed but shut: the attribute is there (`values` absent), or has one of the values. */
      disabled: z.strictObject({ attribute, values: z.array(z.string()).min(1).optional() }).optional(),
    }),
    groups: z.strictObject({
      base: z.string().min(1),
      filter: z.string().min(3).default('(|(objectClass=posixGroup)(objectClass=groupOfNames))'),
      name: attribute.default('cn'),
      title: attribute.default('description'),
      /** Only these groups; absent: all that the filter finds. */
      only: z.array(z.string().min(1)).min(1).optional(),
      /** A group's name: the project's. Default: the same. */
      rename: z.record(z.string(), nameSchema).default({}),
      /** DNs (or subjects) of project leads, such as `owner`; absent: nobody leads. */
      leads: attribute.optional(),
      /** Groups that are no projects: their members hold these facility roles. The only way for LDAP to give one. */
      roles: z.record(z.string(), z.array(facilityRole).min(1)).default({}),
    }),
  })
  .refine((s) => s.url.startsWith('ldaps:') || s.startTls || isLoopback(new URL(s.url).hostname), {
    path: ['startTls'],
    message: 'plain ldap:// is for loopback only: use ldaps:// or startTls: true',
  })
  .refine((s) => (s.bindDn === undefined) === (s.bindPasswordFile === undefined), {
    path: ['bindPasswordFile'],
    message: 'bindDn and bindPasswordFile belong together',
  });

const settingsSchema = z.strictObject({
  projectDefaults: z
    .strictObject({
      environments: z.array(nameSchema).min(1),
      tiers: z.array(nameSchema).min(1),
      limits: z.strictObject({ streams: z.int().min(0), queuedJobs: z.int().min(0) }),
    })
    .optional(),
  /** Tokens of a project whose person left it: revoked, or kept and named in the audit log. */
  onRemoval: z.enum(['revoke-tokens', 'flag']).default('revoke-tokens'),
  maxEndedShare: z.number().min(0).max(1).default(0.2),
  /** Facility roles by subject, beside those of CSV and of sign-in. */
  roles: z.record(z.string().regex(SUBJECT), z.array(facilityRole).min(1)).default({}),
  /** Where two sources list one project, the first one's title, environments and limits count. */
  sources: z.array(z.discriminatedUnion('kind', [csvSource, slurmSource, ldapSource])).default([]),
  notices: z
    .strictObject({
      days: z.array(z.int().min(1).max(365)).min(1).max(10).default([14, 3, 1]),
      /** Gets one JSON document on its standard input for each notice; absent: the log alone. */
      command: command.optional(),
    })
    .prefault({}),
});

export type PeopleSettings = z.output<typeof settingsSchema>;
export type Source = PeopleSettings['sources'][number];
export type CsvSource = z.output<typeof csvSource>;
export type SlurmSource = z.output<typeof slurmSource>;
export type LdapSource = z.output<typeof ldapSource>;

/** Throws YamlError naming every fault. File names in it are relative to the facility folder. */
export function loadPeopleSettings(facility: Pick<Facility, 'directory' | 'environments' | 'tiers'>): PeopleSettings {
  const file = join(facility.directory, PEOPLE_FILE);
  if (!existsSync(file)) return settingsSchema.parse({});
  const source = readYamlSource(file, settingsSchema);
  const { sources, projectDefaults } = source.value;
  const names = sources.map((s) => s.name);
  const faults = [
    ...names.flatMap((name, i) =>
      names.indexOf(name) < i ? [source.fault(['sources', i, 'name'], 'this name is there twice')] : [],
    ),
    ...(projectDefaults?.environments ?? []).flatMap((name, i) =>
      facility.environments.has(name)
        ? []
        : [source.fault(['projectDefaults', 'environments', i], `there is no environment ${name}`)],
    ),
    ...(projectDefaults?.tiers ?? []).flatMap((name, i) =>
      facility.tiers.has(name) ? [] : [source.fault(['projectDefaults', 'tiers', i], `there is no tier ${name}`)],
    ),
  ];
  if (faults.length > 0) throw new YamlError(faults);
  return { ...source.value, sources: sources.map((s) => withPaths(facility.directory, s)) };
}

function withPaths(directory: string, source: Source): Source {
  const at = (path: string): string => (isAbsolute(path) ? path : resolve(directory, path));
  switch (source.kind) {
    case 'csv':
      return source.folder === undefined ? source : { ...source, folder: at(source.folder) };
    case 'slurm': {
      const text = (from: SlurmSource['associations']) => ('file' in from ? { file: at(from.file) } : from);
      return {
        ...source,
        associations: text(source.associations),
        ...(source.accounts === undefined ? {} : { accounts: text(source.accounts) }),
      };
    }
    case 'ldap':
      return {
        ...source,
        ...(source.caFile === undefined ? {} : { caFile: at(source.caFile) }),
        ...(source.bindPasswordFile === undefined ? {} : { bindPasswordFile: at(source.bindPasswordFile) }),
      };
  }
}
