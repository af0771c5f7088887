/** What an id token says, in our words: who the person is here, which roles, whether and when a second factor was shown. Pure. */
import { Problem } from '../../problems.ts';
import { ROLES, type Role } from '../caller.ts';
import type { Provider } from './sign-in-settings.ts';

export type Claims = Readonly<Record<string, unknown>>;

export interface Person {
  readonly subject: string;
  readonly roles: readonly Role[];
  readonly methods: readonly string[];
  readonly factorAt: Date | null;
}

/** As in audit records, file names of accounts and tables: no spaces, no control characters, nothing that looks like another's name. */
const SUBJECT = /^[A-Za-z0-9][A-Za-z0-9._@:+-]{0,127}$/;
const MOST_CLOCK_SKEW_MS = 60_000;

/** Throws `sign-in-failed` where the claims name nobody. */
export function personOfClaims(provider: Provider, claims: Claims, nowMs: number): Person {
  const { claim, prefix } = provider.subject;
  const named = claims[claim];
  if (claim === 'email' && claims['email_verified'] !== true)
    throw new Problem('sign-in-failed', `${provider.title} does not say that your e-mail address is verified.`);
  if (typeof named !== 'string' || !SUBJECT.test(prefix + named))
    throw new Problem(
      'sign-in-failed',
      `${provider.title} names you in no way that can be used here (claim ${claim}).`,
    );
  const factorAt = factorOf(provider, claims, nowMs);
  return {
    subject: prefix + named,
    roles: rolesOf(provider, claims),
    methods: factorAt === null ? ['oidc'] : ['oidc', 'oidc-factor'],
    factorAt,
  };
}

function rolesOf(provider: Provider, claims: Claims): readonly Role[] {
  const { roles } = provider;
  const held = new Set<Role>(['member']);
  if (roles !== undefined)
    for (const value of texts(claims[roles.claim]))
      for (const role of (Object.hasOwn(roles.values, value) ? roles.values[value] : undefined) ?? []) held.add(role);
  return ROLES.filter((role) => held.has(role));
}

/** A factor counts from `auth_time`, when the person was last there: an id token made from an old sign-on is no fresh factor. */
function factorOf(provider: Provider, claims: Claims, nowMs: number): Date | null {
  const { secondFactor } = provider;
  if (secondFactor === undefined) return null;
  const shown =
    texts(claims['amr']).some((value) => secondFactor.amr.includes(value)) ||
    texts(claims['acr']).some((value) => secondFactor.acr.includes(value));
  const at = claims['auth_time'];
  if (!shown || typeof at !== 'number' || !Number.isFinite(at) || at <= 0) return null;
  if (at * 1000 > nowMs + MOST_CLOCK_SKEW_MS) return null;
  return new Date(Math.min(at * 1000, nowMs));
}

function texts(value: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.filter((v): v is string => typeof v === 'string');
}
