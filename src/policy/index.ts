/** The door of the room `policy`: what is allowed. */
export { ACTIONS, type Action, isAction } from './action.ts';
export { type MatrixDifference, type MatrixRow, matrixDiff, matrixText, policyMatrix } from './matrix.ts';
export { openPolicy, type Policy, type PolicyAlarm } from './policy.ts';
export { type PolicySet, PolicySetError, type PolicyText, readPolicySet } from './policy-set.ts';
export type { Decision, PolicyQuestion, PolicyResource } from './question.ts';
export { policyResource, resolveTarget, resourceOf, type Target, type TargetInput } from './target.ts';
export { loadPolicySet, type PolicyTestReport, testPolicies } from './test-policies.ts';
