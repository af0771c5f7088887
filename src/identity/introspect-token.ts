/**
 * What is this text, and is it good now? For tokens, sessions, node bearers and hop tokens; read from the database each time, so a revocation shows at once.
 * RFC 7662: whoever may not know is told what is told of noise. The text itself goes nowhere from here.
 */
import type { Clock } from '../clock.ts';
import type { Queries } from '../database/index.ts';
import { Problem } from '../problems.ts';
import type { Caller } from './caller.ts';
import { type HopClaims, type VerifyHopDeps, verifyHopToken } from './signing-key/verify-hop-token.ts';
import { tokenByDigest, tokenById } from './store.ts';
import { START_LEEWAY_MS, type Token, tokenState, usesLeft } from './token.ts';
import { bearerDigest, bearerKind } from './token-text.ts';

export interface IntrospectDeps extends VerifyHopDeps {
  readonly db: Queries;
  readonly clock: Clock;
}

export interface IntrospectInput {
  readonly caller: Caller;
  readonly text: string;
  /** May this caller look at that token, which is not its own? */
  readonly mayInspect: (token: Token) => boolean;
}

export interface Introspection {
  readonly active: boolean;
  /** The row behind the text; undefined where there is none, or none that the caller may see. */
  readonly token: Token | undefined;
  /** Where the text is a hop token, whose row is that of the token it stands for. */
  readonly hop: HopClaims | undefined;
}

const NOTHING: Introspection = { active: false, token: undefined, hop: undefined };

/** Throws `unavailable` only. A source range is not asked: it binds whoever sends the token, not whoever asks about it. */
export async function introspectToken(deps: IntrospectDeps, input: IntrospectInput): Promise<Introspection> {
  const { caller, text, mayInspect } = input;
  const isBearer = bearerKind(text) !== undefined;
  const hop = isBearer ? undefined : await hopOf(deps, text);
  const token = await (isBearer ? tokenByDigest(deps.db, bearerDigest(text)) : hop && tokenById(deps.db, hop.token));
  if (token === undefined || !(token.id === caller.id || mayInspect(token))) return NOTHING;
  const isActive = tokenState(token, deps.clock.now(), START_LEEWAY_MS) === 'active';
  // A hop token that is there already costs its token no use.
  return { active: isActive && (hop !== undefined || usesLeft(token) !== 0), token, hop };
}

async function hopOf(deps: IntrospectDeps, text: string): Promise<HopClaims | undefined> {
  try {
    return await verifyHopToken(deps, text, { audience: undefined });
  } catch (thrown) {
    if (thrown instanceof Problem && thrown.code !== 'unavailable') return undefined;
    throw thrown;
  }
}
