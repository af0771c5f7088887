/**
 * Evaluates questions on one policy set with Cedar. Each environment's base and overlay are parsed once. Fails closed: Cedar skips a forbid whose
 * condition errs, so any error of an evaluation is a denial and reported as a fault.
 */
import * as cedar from '@cedar-policy/cedar-wasm/nodejs';
import type { RuleFinding } from '../problems.ts';
import type { PolicySet, PolicyText } from './policy-set.ts';
import { cedarRequest, type Decision, fillRemedy, type PolicyQuestion } from './question.ts';

export interface Evaluator {
  evaluate(question: PolicyQuestion): Decision;
}

let serial = 0;

export function evaluator(set: PolicySet): Evaluator {
  // Cedar keeps parsed sets by name for the life of the process; a new set gets names of its own.
  serial += 1;
  const name = `set-${serial}`;
  const failed = [cedar.preparseSchema(name, set.schema)];
  const policies = new Map<string, ReadonlyMap<string, PolicyText>>();
  for (const environment of ['', ...set.overlays.keys()]) {
    const all = [...set.base, ...(set.overlays.get(environment) ?? [])];
    failed.push(
      cedar.preparsePolicySet(`${name}/${environment}`, {
        staticPolicies: Object.fromEntries(all.map((p) => [p.id, p.text])),
      }),
    );
    policies.set(environment, new Map(all.map((p) => [p.id, p])));
  }
  const fault = failed.find((answer) => answer.type === 'failure');
  if (fault?.type === 'failure') throw new Error(fault.errors.map((e) => e.message).join('; '));

  return {
    evaluate(question) {
      const asked = question.resource.environment ?? '';
      const environment = policies.has(asked) ? asked : '';
      const answer = cedar.statefulIsAuthorized({
        ...cedarRequest(question),
        preparsedSchemaName: name,
        validateRequest: true,
        preparsedPolicySetId: `${name}/${environment}`,
      });
      if (answer.type === 'failure') return faulty(answer.errors.map((e) => e.message).join('; '));
      const { decision, diagnostics } = answer.response;
      if (diagnostics.errors.length > 0)
        return faulty(diagnostics.errors.map((e) => `${e.policyId}: ${e.error.message}`).join('; '));
      if (decision === 'allow') return { allowed: true, rules: diagnostics.reason };
      const known = policies.get(environment);
      // In the order of the files: Cedar's own order changes from call to call.
      const deciding = [...(known?.values() ?? [])].filter((p) => diagnostics.reason.includes(p.id));
      const rules: readonly RuleFinding[] = deciding.map((p) => ({
        rule: p.id,
        detail: fillRemedy(p.remedy, question),
      }));
      if (rules.length === 0)
        return {
          allowed: false,
          rules: [{ rule: 'nothing-permits', detail: `no policy permits ${question.action}` }],
          hidden: false,
        };
      return { allowed: false, rules, hidden: deciding.some((p) => p.hides) };
    },
  };
}

function faulty(fault: string): Decision {
  return {
    allowed: false,
    rules: [{ rule: 'policy-cannot-be-evaluated', detail: 'ask the facility: its policies cannot judge this request' }],
    hidden: false,
    fault,
  };
}
