/** The door of the room `identity`: who is calling. */
export {
  ANONYMOUS,
  type Assurance,
  type Caller,
  CLASSIFICATIONS,
  type Classification,
  type NodeCaller,
  ROLES,
  type Role,
  type SessionCaller,
  systemCaller,
  type TokenCaller,
} from './caller.ts';
export { type DelegateInput, delegateToken, delegationFaults, MOST_DEPTH } from './delegate-token.ts';
export {
  type IssueDeps,
  type IssuedToken,
  type IssueTokenInput,
  issueNodeBearer,
  issueSession,
  issueToken,
} from './issue-token.ts';
export { type RevokeDeps, revokeToken, TOKEN_REVOKED } from './revoke-token.ts';
export { ALL_SCOPES, isScope, SCOPES, type Scope } from './scope.ts';
export { identityMigrations, type TokenPage, tokenById, tokenSubtree, tokensPage } from './store.ts';
export { callerOf, PLAIN_TOKEN, type Token, type TokenState, tokenState } from './token.ts';
export { bearerDigest, bearerKind, newBearer } from './token-text.ts';
export { openTokenVerifier, type TokenVerifier } from './verify-token.ts';
