/** The door of the room `identity`: who is calling. */

export type { SignedCertificate } from './authority/certificates.ts';
export { type Authority, openAuthority } from './authority/open-authority.ts';
export {
  ANONYMOUS,
  type Assurance,
  agentSubject,
  type Caller,
  CLASSIFICATIONS,
  type Classification,
  clusterOfAgent,
  type NodeCaller,
  ROLES,
  type Role,
  type SessionCaller,
  systemCaller,
  type TokenCaller,
} from './caller.ts';
export { type DelegateInput, delegateToken, delegationFaults, MOST_DEPTH } from './delegate-token.ts';
export { pruneExchanged } from './exchange/exchange-store.ts';
export {
  type ChildWish,
  type ExchangeDeps,
  type ExchangeInput,
  exchangeToken,
  type Ruling,
} from './exchange/exchange-token.ts';
export { FEDERATION_FILE, type Federation, loadFederation } from './exchange/federation.ts';
export type { ForeignIdentity } from './exchange/foreign-identity.ts';
export { type IssuerKeys, openIssuerKeys } from './exchange/issuer-keys.ts';
export { type IntrospectDeps, type Introspection, introspectToken } from './introspect-token.ts';
export {
  type IssueDeps,
  type IssuedToken,
  type IssueTokenInput,
  issueAgentBearer,
  issueNodeBearer,
  issueSession,
  issueToken,
  type TokenWishes,
} from './issue-token.ts';
export type { Lockdown } from './lockdown/lockdown.ts';
export { lastLockdown, lockdownInForce } from './lockdown/lockdown-store.ts';
export { LOCKDOWN_CHANGED, type LockdownDeps, liftLockdown, setLockdown } from './lockdown/set-lockdown.ts';
export {
  AFTER_SIGN_IN,
  beginLogin,
  callbackPath,
  type LoginDeps,
} from './login/begin-login.ts';
export { type BrowserSessionDeps, browserSession } from './login/browser-session.ts';
export {
  type DeviceCodes,
  type DeviceDeps,
  decideDevice,
  factorIsFresh,
  pollDeviceLogin,
  readUserCode,
  shownUserCode,
  startDeviceLogin,
  waitingDeviceLogin,
} from './login/device-login.ts';
export type { DeviceLogin } from './login/device-login-store.ts';
export { type FinishDeps, finishLogin, type SignedIn } from './login/finish-login.ts';
export { type IdentityProviders, openIdentityProviders } from './login/identity-providers.ts';
export { type OwnSession, sessionsOf } from './login/login-store.ts';
export { returnPath } from './login/return-path.ts';
export {
  DEV_PROVIDER,
  type DevAccount,
  loadSignIn,
  type Provider,
  SIGN_IN_FILE,
  type SignInSettings,
} from './login/sign-in-settings.ts';
export type { Notice } from './notices/notice.ts';
export { noticesPage } from './notices/notice-store.ts';
export { commandNotifier, logNotifier, type Notifier } from './notices/notify.ts';
export { type NoticeDeps, sendNotices } from './notices/send-notices.ts';
export type { ImportOutcome } from './people/apply-import.ts';
export { importDevAccounts, importPeople, type PeopleDeps } from './people/import-people.ts';
export { type ImportedProjects, openImportedProjects } from './people/imported-projects.ts';
export { listPeople, membersOf, type PersonView } from './people/list-people.ts';
export { loadPeopleSettings, type PeopleSettings } from './people/people-settings.ts';
export { type AllocationRow, allocationRows } from './people/people-store.ts';
export { sourceStates } from './people/source-store.ts';
export { syncPeople } from './people/sync-people.ts';
export { type SettledRoles, withStanding } from './people/with-standing.ts';
export { renewToken } from './renew-token.ts';
export { tokenSubtree } from './revocation-store.ts';
export { type RevokeDeps, revokeToken, TOKEN_REVOKED } from './revoke-token.ts';
export { DEFAULT_OVERLAP_SECONDS, MOST_OVERLAP_SECONDS, type RotateDeps, rotateToken } from './rotate-token.ts';
export { ALL_SCOPES, isScope, SCOPES, type Scope } from './scope.ts';
export {
  askPasskey,
  confirmTotp,
  enrolPasskey,
  FACTOR_METHODS,
  type Factor,
  type FactorCall,
  type FactorDeps,
  type FactorKeys,
  type FactorMethod,
  factorsOf,
  issueRecoveryCodes,
  offerPasskey,
  offerTotp,
  type RelyingParty,
  type RemovedFactor,
  readFactorKeys,
  relyingParty,
  removeFactor,
  resetFactors,
  type TotpOffer,
  totpOffer,
  totpUri,
  useCode,
  usePasskey,
  whatChangeNeeds,
} from './second-factor/index.ts';
export { HOP_TYPE, type HopDeps, type HopToken, mintHopToken } from './signing-key/mint-hop-token.ts';
export { openSigningKeys, type SigningKeys, type SigningKeysDeps } from './signing-key/open-signing-keys.ts';
export {
  CACHE_SECONDS,
  keyState,
  LONGEST_HOP_SECONDS,
  type PublicJwk,
  type SigningKey,
  verifiesUntil,
} from './signing-key/signing-key.ts';
export { type HopClaims, type VerifyHopDeps, verifyHopToken } from './signing-key/verify-hop-token.ts';
export { openTokenUse, type TokenUse } from './spend-use.ts';
export { holdToken, type TokenPage, tokenById, tokensPage } from './store.ts';
export { identityMigrations } from './tables-store.ts';
export { callerOf, PLAIN_TOKEN, type Token, type TokenState, tokenState, usesLeft } from './token.ts';
export { isOutsidePurpose, loadTokenRules, type TokenRules } from './token-rules.ts';
export { bearerDigest, bearerKind, newBearer } from './token-text.ts';
export { flagsOf, type TokenFlag } from './token-use-store.ts';
export { openTokenVerifier, type TokenVerifier, WrongSource } from './verify-token.ts';
