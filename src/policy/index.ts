/** The door of the room `policy`: what is allowed. */
export { authorize, decide } from './decide.ts';
export { type Action, type Decision, type PolicyQuestion, type PolicyResource, ROLE_ACTIONS, RULES } from './rule.ts';
export { policyResource, resolveTarget, resourceOf, type Target, type TargetInput } from './target.ts';
