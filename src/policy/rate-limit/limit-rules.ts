/**
 * `limits.yaml` of the facility folder: how much a token, a project, an environment and an address may ask, by class of route. What the file
 * leaves out, or all where there is no file, is as below and in docs/operate/limits.md. Owns no state.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { nameSchema, readYaml } from '../../facility/index.ts';
import type { Rate } from './bucket.ts';

/** Every operation declares one of these (api/contract/operation.ts). */
export const LIMIT_CLASSES = ['read', 'mutation', 'mint', 'stream', 'submit', 'long-poll'] as const;
export type LimitClass = (typeof LIMIT_CLASSES)[number];

/** A bucket that takes longer than this to fill would outlive its row in the database. */
const LONGEST_FILL_SECONDS = 3600;

const rateSchema = z
  .strictObject({ perSecond: z.number().positive().max(1_000_000), burst: z.int().min(1).max(10_000_000) })
  .superRefine(({ perSecond, burst }, context) => {
    const fault = (message: string): void => context.addIssue({ code: 'custom', path: ['burst'], message });
    if (burst < perSecond) fault('is less than what one second brings');
    if (burst > perSecond * LONGEST_FILL_SECONDS) fault('takes longer than an hour to fill');
  });

const cap = z.int().min(1).max(1_000_000);
type ByClass = Readonly<Record<LimitClass, Rate>>;

const byClass = (defaults: ByClass) =>
  z
    .strictObject({
      read: rateSchema.default(defaults.read),
      mutation: rateSchema.default(defaults.mutation),
      mint: rateSchema.default(defaults.mint),
      stream: rateSchema.default(defaults.stream),
      submit: rateSchema.default(defaults.submit),
      'long-poll': rateSchema.default(defaults['long-poll']),
    })
    .prefault({});

const rate = (perSecond: number, burst: number): Rate => ({ perSecond, burst });

export const limitRulesSchema = z.strictObject({
  address: rateSchema.default(rate(5000, 10_000)),
  token: byClass({
    read: rate(1000, 2000),
    mutation: rate(200, 400),
    mint: rate(10, 60),
    stream: rate(20, 100),
    submit: rate(100, 500),
    'long-poll': rate(100, 200),
  }),
  project: byClass({
    read: rate(2000, 4000),
    mutation: rate(400, 800),
    mint: rate(20, 120),
    stream: rate(50, 200),
    submit: rate(300, 1000),
    'long-poll': rate(500, 1000),
  }),
  environment: byClass({
    read: rate(10_000, 20_000),
    mutation: rate(2000, 4000),
    mint: rate(100, 600),
    stream: rate(250, 1000),
    submit: rate(1500, 5000),
    'long-poll': rate(2500, 5000),
  }),
  projects: z
    .record(
      nameSchema,
      z.strictObject({
        read: rateSchema.optional(),
        mutation: rateSchema.optional(),
        mint: rateSchema.optional(),
        stream: rateSchema.optional(),
        submit: rateSchema.optional(),
        'long-poll': rateSchema.optional(),
        inFlight: cap.optional(),
        longPolls: cap.optional(),
        weight: z.number().min(0.01).max(100).optional(),
      }),
    )
    .default({}),
  inFlight: z
    .strictObject({
      token: cap.default(64),
      project: cap.default(128),
      replica: cap.default(256),
      waitMs: z.int().min(0).max(10_000).default(1000),
    })
    .prefault({}),
  longPolls: z
    .strictObject({ token: cap.default(64), project: cap.default(512), replica: cap.default(2048) })
    .prefault({}),
  withoutDatabase: z.strictObject({ share: z.number().positive().max(1).default(0.25) }).prefault({}),
});

export type LimitRules = z.output<typeof limitRulesSchema>;

/** Throws YamlError naming every fault by line and column. `factor` (1 unless told) multiplies every rate, burst and cap. */
export function loadLimitRules(facilityDir: string, factor = 1): LimitRules {
  const path = join(facilityDir, 'limits.yaml');
  const rules = existsSync(path) ? readYaml(path, limitRulesSchema) : limitRulesSchema.parse({});
  return factor === 1 ? rules : scaleLimits(rules, factor);
}

/** What one project may ask in one class. */
export function projectRate(rules: LimitRules, project: string, limitClass: LimitClass): Rate {
  return rules.projects[project]?.[limitClass] ?? rules.project[limitClass];
}

/** For machines that are another size than the example's, for tests and benchmarks: waits, weights and shares stay. */
export function scaleLimits(rules: LimitRules, factor: number): LimitRules {
  const whole = (n: number): number => Math.max(1, Math.round(n * factor));
  const scaled = (of: Rate): Rate => ({
    perSecond: of.perSecond * factor,
    burst: Math.max(whole(of.burst), Math.ceil(of.perSecond * factor)),
  });
  const classes = <T extends { readonly [C in LimitClass]?: Rate | undefined }>(of: T): T => ({
    ...of,
    ...Object.fromEntries(LIMIT_CLASSES.flatMap((c) => (of[c] === undefined ? [] : [[c, scaled(of[c])]]))),
  });
  const { inFlight, longPolls } = rules;
  return {
    ...rules,
    address: scaled(rules.address),
    token: classes(rules.token),
    project: classes(rules.project),
    environment: classes(rules.environment),
    projects: Object.fromEntries(
      Object.entries(rules.projects).map(([name, of]) => [
        name,
        {
          ...classes(of),
          ...(of.inFlight === undefined ? {} : { inFlight: whole(of.inFlight) }),
          ...(of.longPolls === undefined ? {} : { longPolls: whole(of.longPolls) }),
        },
      ]),
    ),
    inFlight: {
      ...inFlight,
      token: whole(inFlight.token),
      project: whole(inFlight.project),
      replica: whole(inFlight.replica),
    },
    longPolls: {
      token: whole(longPolls.token),
      project: whole(longPolls.project),
      replica: whole(longPolls.replica),
    },
  };
}
