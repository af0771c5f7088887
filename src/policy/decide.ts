/** May this caller do this to that? Asks every rule, so that a denial names all that stand against it at once. Fails closed. */
import { Problem, type RuleFinding } from '../problems.ts';
import { type Decision, type PolicyQuestion, RULES } from './rule.ts';

export function decide(question: PolicyQuestion): Decision {
  const rules: RuleFinding[] = [];
  for (const rule of RULES) {
    const detail = rule.objection(question);
    if (detail !== undefined) rules.push({ rule: rule.name, detail });
  }
  return rules.length === 0 ? { allowed: true } : { allowed: false, rules };
}

/**
 * Throws `refused` with the rules that say no. Where the resource belongs to a project that the caller cannot see, the problem is
 * `not-found`: its existence is no business of theirs.
 */
export function authorize(question: PolicyQuestion): void {
  const decision = decide(question);
  if (decision.allowed) return;
  const foreign = decision.rules.some((r) => r.rule === 'token-covers-project' || r.rule === 'session-sees-project');
  if (foreign && question.resource.environment !== undefined) {
    throw new Problem('not-found', 'No such thing, or none that you may see.', { cause: decision.rules });
  }
  throw new Problem('refused', `${question.action} is refused: ${decision.rules.map((r) => r.detail).join('; ')}.`, {
    rules: decision.rules,
  });
}
