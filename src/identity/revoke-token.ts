/**
 * Revokes a bearer and everything delegated from it, for good. The rows, the epoch that empties every replica's cache, and the outbox row that makes streaming cut
 * the connections it opened are one transaction; a second revocation is a no-op.
 */
import type { Clock } from '../clock.ts';
import { emit, type Queries, type TransactionQueries } from '../database/index.ts';
import { Problem } from '../problems.ts';
import type { Caller } from './caller.ts';
import { type Revocation, revokeTokenRow, revokeTokenRowIn } from './revocation-store.ts';
import type { Token } from './token.ts';
import type { TokenVerifier } from './verify-token.ts';

export const TOKEN_REVOKED = 'identity.token-revoked';

export interface RevokeDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly verifier: Pick<TokenVerifier, 'refresh'>;
}

export async function revokeToken(deps: RevokeDeps, caller: Caller, id: string): Promise<Token> {
  const revocation = { id, at: new Date(deps.clock.now()), by: caller.id };
  const token = await revokeTokenRow(deps.db, revocation, tellStreaming);
  if (token === undefined) throw new Problem('not-found', `No token ${id}.`);
  await deps.verifier.refresh();
  return token;
}

/** The same as a part of a greater change; it holds on this replica at its next epoch read, like on every other. */
export function revokeTokenIn(trx: TransactionQueries, revocation: Revocation): Promise<Token | undefined> {
  return revokeTokenRowIn(trx, revocation, tellStreaming);
}

function tellStreaming(trx: TransactionQueries, revoked: Token): Promise<void> {
  return emit(trx, { topic: TOKEN_REVOKED, key: revoked.id, payload: { tokenId: revoked.id } });
}
