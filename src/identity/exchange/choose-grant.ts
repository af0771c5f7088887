/** Which entry of the trust table covers what is asked for, and as whom the person is known here. Pure. */
import type { JWTPayload } from 'jose';
import { Problem } from '../../problems.ts';
import { isScope, type Scope } from '../scope.ts';
import type { Grant, TrustedIssuer } from './federation.ts';
import { texts } from './verify-subject-token.ts';

/** What the client asks for; what is left out is as wide as the grant. */
export interface ExchangeWish {
  readonly project: string | undefined;
  readonly environments: readonly string[] | undefined;
  readonly scopes: readonly string[] | undefined;
  /** Seconds; default: as long as the trust table allows. */
  readonly lifetimeSeconds: number | undefined;
}

export interface Granted {
  readonly grant: Grant;
  readonly environments: readonly string[];
  readonly scopes: readonly Scope[];
  readonly lifetimeSeconds: number;
}

/** As in audit records and tables: no spaces, no control characters. */
const PERSON = /^[A-Za-z0-9][A-Za-z0-9._@:+-]{0,99}$/;

/** `person@issuer`; the issuer's name holds no `@`, so what stands behind the last one is it. Undefined where the claim names nobody that can be used here. */
export function personOf(issuer: TrustedIssuer, claims: JWTPayload): string | undefined {
  const named = claims[issuer.person.claim];
  if (issuer.person.claim === 'email' && claims['email_verified'] !== true) return undefined;
  return typeof named === 'string' && PERSON.test(named) ? `${named}@${issuer.name}` : undefined;
}

/** Throws `target-refused` or `scope-refused`, which name what may be asked for instead. */
export function chooseGrant(issuer: TrustedIssuer, claims: JWTPayload, wish: ExchangeWish): Granted {
  const own = issuer.grants.filter(
    ({ who }) => who === undefined || texts(claims[who.claim]).some((value) => who.values.includes(value)),
  );
  const projects = [...new Set(own.map((grant) => grant.project))];
  if (projects.length === 0) throw new Problem('target-refused', 'No project is open to this identity here.');
  const project = wish.project ?? (projects.length === 1 ? projects[0] : undefined);
  if (project === undefined)
    throw new Problem('target-refused', `Name a project as audience: one of ${projects.join(', ')}.`);
  const ofProject = own.filter((grant) => grant.project === project);
  if (ofProject.length === 0)
    throw new Problem('target-refused', `Project ${project} is not open to this identity here.`);
  const covering = ofProject.filter((g) => wish.environments?.every((name) => g.environments.includes(name)) ?? true);
  if (covering.length === 0) {
    const open = [...new Set(ofProject.flatMap((g) => g.environments))].join(', ');
    throw new Problem('target-refused', `Environments that are open to this identity in one token: ${open}.`);
  }
  const scoped = covering.find((g) => wish.scopes?.every((name) => g.scopes.some((s) => s === name)) ?? true);
  if (scoped === undefined) {
    const open = [...new Set(covering.flatMap((g) => g.scopes))].join(' ');
    throw new Problem('scope-refused', `Scopes that are open to this identity here: ${open}.`);
  }
  return {
    grant: scoped,
    environments: wish.environments ?? scoped.environments,
    scopes: wish.scopes?.filter(isScope) ?? scoped.scopes,
    lifetimeSeconds: Math.min(wish.lifetimeSeconds ?? issuer.maxLifetimeSeconds, issuer.maxLifetimeSeconds),
  };
}
