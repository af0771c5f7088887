/**
 * The rules of facility/token-rules.yaml: more power, shorter life and fewer source ranges. The most powerful scope of a token decides. Pure but for
 * `loadTokenRules`; the same rules bind minting, delegating and renewing.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { type Enclave, type Facility, nameSchema, readYaml } from '../facility/index.ts';
import type { FieldError } from '../problems.ts';
import { type Caller, CLASSIFICATIONS, type Classification } from './caller.ts';
import { isScope, type Scope } from './scope.ts';
import { parseRange, type SourceRange, writtenPrefix } from './source-ranges.ts';

const scopeField = z.custom<Scope>((value) => typeof value === 'string' && isScope(value), {
  error: ({ input }) => `${String(input)} is no scope; docs/reference/scopes.md lists them`,
});
const enclaves = z.array(z.enum(['open', 'moderate']));

const powerSchema = z.strictObject({
  name: nameSchema,
  scopes: z.array(scopeField),
  maxLifetimeHours: z.number().positive().max(8784),
  oneTimeMaxLifetimeHours: z.number().positive().max(8784),
  maxRenewableDays: z.number().min(0).max(3660),
  maxSources: z.int().min(1).max(64),
  widestSource: z.strictObject({ ipv4: z.int().min(0).max(32), ipv6: z.int().min(0).max(128) }),
  sourcesRequiredIn: enclaves,
});

export const tokenRulesSchema = z
  .strictObject({
    powers: z.array(powerSchema).min(1).max(16),
    maxStartAheadDays: z.number().min(0).max(3660),
    purposes: z.record(
      nameSchema,
      z.strictObject({ title: z.string().min(1).max(200), scopes: z.array(scopeField).min(1) }),
    ),
    classifications: z.strictObject({ public: enclaves, proprietary: enclaves, controlled: enclaves }),
  })
  .superRefine((rules, context) => {
    const fault = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path, message });
    const seen = new Map<Scope, string>();
    const names = new Set<string>();
    for (const [i, power] of rules.powers.entries()) {
      if (names.has(power.name)) fault(['powers', i, 'name'], `${power.name} is there twice`);
      names.add(power.name);
      for (const [j, scope] of power.scopes.entries()) {
        const other = seen.get(scope);
        if (other !== undefined) fault(['powers', i, 'scopes', j], `${scope} has the power ${other} already`);
        seen.set(scope, power.name);
      }
      const less = rules.powers[i - 1];
      if (less === undefined) continue;
      for (const field of ['maxLifetimeHours', 'oneTimeMaxLifetimeHours', 'maxRenewableDays', 'maxSources'] as const)
        if (power[field] > less[field])
          fault(['powers', i, field], `more than ${less[field]} of the lesser power ${less.name}`);
    }
  });

export type TokenRules = z.output<typeof tokenRulesSchema>;
export type Power = TokenRules['powers'][number];

/** Throws YamlError naming every fault by line and column. */
export function loadTokenRules(directory: string): TokenRules {
  return readYaml(join(directory, 'token-rules.yaml'), tokenRulesSchema);
}

/** Of the most powerful scope; a scope that no power lists is of the last one. */
export function powerOf(rules: TokenRules, scopes: readonly string[]): Power {
  const ranks = scopes.map((scope) => {
    const rank = rules.powers.findIndex((p) => p.scopes.some((s) => s === scope));
    return rank < 0 ? rules.powers.length - 1 : rank;
  });
  const power = rules.powers[Math.max(0, ...ranks)];
  if (power === undefined) throw new Error('token rules without a power');
  return power;
}

/** What is asked for, in the same terms for a minted token, a child and a renewal. */
export interface Reach {
  readonly scopes: readonly string[];
  readonly environments: readonly string[];
  readonly enclave: Enclave | null;
  readonly lifetimeSeconds: number;
  readonly purpose: string;
  readonly classification: Classification;
  readonly sources: readonly string[];
  readonly maxUses: number | null;
  readonly renewableSeconds: number;
  /** Negative or zero: no deferred start. */
  readonly startsInSeconds: number;
}

/** Longest life in seconds, with what decides it. */
export function longestLife(
  rules: TokenRules,
  facility: Pick<Facility, 'environments'>,
  of: Pick<Reach, 'scopes' | 'environments' | 'maxUses'>,
): { readonly seconds: number; readonly because: string } {
  const power = powerOf(rules, of.scopes);
  const bounds = of.environments.flatMap((name) => {
    const hours = facility.environments.get(name)?.tokens.maxLifetimeHours;
    return hours === undefined ? [] : [{ hours, because: `in ${name}` }];
  });
  bounds.push({ hours: power.maxLifetimeHours, because: `with the power ${power.name}` });
  if (of.maxUses === 1)
    bounds.push({ hours: power.oneTimeMaxLifetimeHours, because: `for one use with the power ${power.name}` });
  const least = bounds.reduce((a, b) => (b.hours < a.hours ? b : a));
  return { seconds: Math.floor(least.hours * 3600), because: `${least.hours} h ${least.because}` };
}

/** Everything in which `reach` goes beyond the rules; each fault says what is allowed. */
export function ruleFaults(
  rules: TokenRules,
  facility: Pick<Facility, 'environments'>,
  reach: Reach,
): readonly FieldError[] {
  const errors: FieldError[] = [];
  const wrong = (pointer: string, detail: string): void => void errors.push({ pointer, detail });
  const power = powerOf(rules, reach.scopes);
  const life = longestLife(rules, facility, reach);
  if (reach.lifetimeSeconds > life.seconds) wrong('#/lifetimeSeconds', `at most ${life.because}`);
  if (reach.purpose !== '' && purposeScopes(rules, reach.purpose) === undefined)
    wrong('#/purpose', `no purpose ${reach.purpose}; there are ${Object.keys(rules.purposes).join(', ')}`);
  if (reach.enclave !== null && !rules.classifications[reach.classification].includes(reach.enclave))
    wrong('#/classification', classificationDetail(rules, reach.classification, reach.enclave));
  errors.push(...sourceFaults(power, reach));
  if (reach.renewableSeconds > power.maxRenewableDays * 86_400)
    wrong('#/renewableDays', `at most ${power.maxRenewableDays} with the power ${power.name}`);
  if (reach.startsInSeconds > rules.maxStartAheadDays * 86_400)
    wrong('#/notBefore', `at most ${rules.maxStartAheadDays} days ahead`);
  return errors;
}

function classificationDetail(rules: TokenRules, asked: Classification, enclave: Enclave): string {
  const allowed = CLASSIFICATIONS.filter((c) => rules.classifications[c].includes(enclave));
  return `${asked} data may not be in the ${enclave} enclave; there: ${allowed.join(', ') || 'none'}`;
}

function sourceFaults(power: Power, reach: Reach): readonly FieldError[] {
  const errors: FieldError[] = [];
  const wrong = (pointer: string, detail: string): void => void errors.push({ pointer, detail });
  if (reach.sources.length > power.maxSources)
    wrong('#/sources', `at most ${power.maxSources} with the power ${power.name}`);
  if (reach.sources.length === 0 && reach.enclave !== null && power.sourcesRequiredIn.includes(reach.enclave))
    wrong('#/sources', `the power ${power.name} needs at least one source range in the ${reach.enclave} enclave`);
  for (const [i, text] of reach.sources.entries()) {
    const range = parseRange(text);
    if (range === undefined) wrong(`#/sources/${i}`, 'an address or CIDR, such as 192.0.2.0/24 or 2001:db8::/48');
    else if (isTooWide(power, range))
      wrong(
        `#/sources/${i}`,
        `at least a /${power.widestSource.ipv4} (IPv4) or /${power.widestSource.ipv6} (IPv6) with the power ${power.name}`,
      );
  }
  return errors;
}

function isTooWide(power: Power, range: SourceRange): boolean {
  const { family, length } = writtenPrefix(range);
  return length < power.widestSource[family];
}

/** Use of `action`'s scope is outside of what the token was asked for. A purpose that the facility no longer knows covers nothing. */
export function isOutsidePurpose(rules: TokenRules, caller: Caller, action: string): boolean {
  if (caller.kind !== 'token' || caller.purpose === '' || !isScope(action)) return false;
  return !(purposeScopes(rules, caller.purpose)?.includes(action) ?? false);
}

/** The scopes that belong to a purpose; undefined where the facility knows no such purpose. */
export function purposeScopes(rules: TokenRules, purpose: string): readonly Scope[] | undefined {
  return Object.hasOwn(rules.purposes, purpose) ? rules.purposes[purpose]?.scopes : undefined;
}
