/** What the room's door hands on of second factors. */
export { askPasskey, offerPasskey } from './begin-passkey.ts';
export { enrolPasskey } from './enrol-passkey.ts';
export { confirmTotp, offerTotp, type TotpOffer, totpOffer } from './enrol-totp.ts';
export { FACTOR_METHODS, type Factor, type FactorCall, type FactorDeps, type FactorMethod } from './factor.ts';
export { type FactorKeys, readFactorKeys } from './factor-keys.ts';
export { factorsOf } from './factor-store.ts';
export { issueRecoveryCodes } from './issue-recovery-codes.ts';
export { whatChangeNeeds } from './permit-change.ts';
export { type RelyingParty, relyingParty } from './relying-party.ts';
export { type RemovedFactor, removeFactor } from './remove-factor.ts';
export { resetFactors } from './reset-factors.ts';
export { totpUri } from './totp.ts';
export { useCode } from './use-code.ts';
export { usePasskey } from './use-passkey.ts';
