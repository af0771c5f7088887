/** Tokens as things that are acted on: one that exists, and one that somebody wishes for. */
import type { Facility } from '../facility/index.ts';
import type { Caller, Token, TokenCaller } from '../identity/index.ts';
import type { PolicyResource } from './question.ts';

/** Whose it is decides who may see and revoke it; undefined (no such token) is nobody's, so that only staff learn that it does not exist. */
export function tokenResource(token: Pick<Token, 'project' | 'subject'> | undefined): PolicyResource {
  if (token === undefined) return {};
  const { project, subject } = token;
  return project === null ? { subject } : { project, subject };
}

export interface TokenWish {
  readonly project: string;
  readonly environments: readonly string[];
  readonly scopes: readonly string[];
  readonly classification?: string | undefined;
  readonly subject?: string | undefined;
}

/** The enclave is the stricter one of all environments that are asked for; unknown ones are for the minting itself to refuse. */
export function wishedToken(facility: Facility, caller: Pick<Caller, 'subject'>, wish: TokenWish): PolicyResource {
  const { project, scopes, classification, subject = caller.subject } = wish;
  const enclaves = wish.environments.flatMap((name) => facility.environments.get(name)?.enclave ?? []);
  const enclave = enclaves.find((e) => e === 'moderate') ?? enclaves[0];
  return {
    project,
    environments: wish.environments,
    scopes,
    subject,
    ...(enclave === undefined ? {} : { enclave }),
    ...(classification === undefined ? {} : { classification }),
  };
}

/**
 * A child of the caller's token. In the parent's enclave and for its data whatever is wished for: what goes beyond the parent is for the use case to
 * say, field by field.
 */
export function childWish(
  { project, enclave, classification, subject, ...parent }: TokenCaller,
  wish: { readonly environments?: readonly string[] | undefined; readonly scopes?: readonly string[] | undefined },
): PolicyResource {
  const { environments = parent.environments, scopes = parent.scopes } = wish;
  return { project, environments, scopes, subject, enclave, classification };
}
