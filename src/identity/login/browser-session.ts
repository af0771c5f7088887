/**
 * Whose session do a browser's two cookies stand for? The verifier says whether the bearer holds and is of this browser; here is added that
 * a session ends when nobody used it for a while. Using it is what keeps it, so each page counts.
 */
import { Problem } from '../../problems.ts';
import { type SessionCaller, systemCaller } from '../caller.ts';
import { type RevokeDeps, revokeToken } from '../revoke-token.ts';
import type { TokenVerifier } from '../verify-token.ts';
import { touchSignIn } from './login-store.ts';

export interface BrowserSessionDeps extends RevokeDeps {
  readonly verifier: Pick<TokenVerifier, 'refresh' | 'verify'>;
}

/** Throws `token-*`, `unavailable`. */
export async function browserSession(
  deps: BrowserSessionDeps,
  of: { readonly bearer: string; readonly browser: Buffer; readonly address: string },
): Promise<SessionCaller> {
  const caller = await deps.verifier.verify(of.bearer, { browser: of.browser, address: of.address });
  if (caller.kind !== 'session') throw new Problem('token-unknown', 'This is no session.');
  if ((await touchSignIn(deps.db, caller.id, new Date(deps.clock.now()))) !== 'idle') return caller;
  await revokeToken(deps, systemCaller('idle'), caller.id);
  throw new Problem('token-expired', 'This session was not used for a while and has ended.');
}
