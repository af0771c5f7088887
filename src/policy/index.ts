/** The door of the room `policy`: what is allowed. */
export { ACTIONS, type Action, isAction } from './action.ts';
export { type AlarmDeps, policyAlarms } from './alarm.ts';
export { type ExplainInput, type Explanation, explainAt } from './explain.ts';
export { type MatrixDifference, type MatrixRow, matrixDiff, matrixText, policyMatrix } from './matrix.ts';
export { openPolicy, type Policy, type PolicyAlarm, type PolicyFault, refusalOf } from './policy.ts';
export { type PolicySet, PolicySetError, type PolicyText, readPolicySet } from './policy-set.ts';
export type { Asker, Circumstances, Decision, PolicyQuestion, PolicyResource } from './question.ts';
export type { Rate } from './rate-limit/bucket.ts';
export { type BucketSource, memorySource } from './rate-limit/bucket-source.ts';
export { type Leases, openLeases } from './rate-limit/lease-permits.ts';
export {
  LIMIT_CLASSES,
  type LimitClass,
  type LimitRules,
  limitRulesSchema,
  loadLimitRules,
  projectRate,
  scaleLimits,
} from './rate-limit/limit-rules.ts';
export { type LocalBuckets, localBuckets } from './rate-limit/local-buckets.ts';
export {
  databaseSource,
  pruneRateBuckets,
  rateBucketMigrations as policyMigrations,
} from './rate-limit/rate-bucket-store.ts';
export { openSlots, type Slot, type Slots } from './rate-limit/slots.ts';
export { recordPolicyLoad } from './record-load.ts';
export type { RecordedQuestion } from './recorded-question.ts';
export { type Flip, openReplay, type Replay, type ReplayReport } from './replay.ts';
export { policyResource, resolveTarget, resourceOf, type Target, type TargetInput } from './target.ts';
export { loadPolicySet, type PolicyTestReport, testPolicies } from './test-policies.ts';
export { childWish, type TokenWish, tokenResource, wishedToken } from './token-resource.ts';
