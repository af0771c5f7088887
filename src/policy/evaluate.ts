/**
 * Evaluates questions on one policy set with Cedar. Each environment's base and overlay are parsed once. Fails closed: Cedar skips a forbid whose
 * condition errs, so any error of an evaluation is a denial and reported as a fault.
 */
import * as cedar from '@cedar-policy/cedar-wasm/nodejs';
import type { RuleFinding } from '../problems.ts';
import type { PolicySet, PolicyText } from './policy-set.ts';
import { type CedarRequest, cedarRequest, type Decision, fillRemedy, type PolicyQuestion } from './question.ts';

/** What a set says to a request in Cedar's own terms. `faults` stand for rules that could not be evaluated. */
export type Verdict =
  | { readonly allowed: true; readonly rules: readonly string[] }
  | { readonly allowed: false; readonly deciding: readonly PolicyText[]; readonly faults: readonly RuleFinding[] };

export interface Evaluator {
  /** What goes wrong in an evaluation is a denial with its faults. Throws only when asked about a part of Beamway. */
  evaluate(question: PolicyQuestion): Decision;
  /** For requests that were recorded. The overlay of each of `environments` has its say; none: the base alone. */
  judge(request: CedarRequest, environments: readonly string[]): Verdict;
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

  const judgeBy = (overlay: string, request: CedarRequest): Verdict => {
    if (!request.entities.every((e) => Object.values(e.attrs).every(isWhole)))
      return faulty([{ rule: 'request', detail: 'a text with half of a surrogate pair' }]);
    const answer = authorized({
      ...request,
      preparsedSchemaName: name,
      validateRequest: true,
      preparsedPolicySetId: `${name}/${overlay}`,
    });
    if (answer.type === 'failure') return faulty(answer.errors.map((e) => ({ rule: 'request', detail: e.message })));
    const { decision, diagnostics } = answer.response;
    if (diagnostics.errors.length > 0)
      return faulty(diagnostics.errors.map((e) => ({ rule: e.policyId, detail: e.error.message })));
    if (decision === 'allow') return { allowed: true, rules: diagnostics.reason };
    // In the order of the files: Cedar's own order changes from call to call.
    const known = [...(policies.get(overlay)?.values() ?? [])];
    return { allowed: false, deciding: known.filter((p) => diagnostics.reason.includes(p.id)), faults: [] };
  };
  const judge: Evaluator['judge'] = (request, environments) => {
    const overlays = new Set(environments.map((e) => (policies.has(e) ? e : '')));
    return together([...(overlays.size === 0 ? [''] : overlays)].map((overlay) => judgeBy(overlay, request)));
  };

  return {
    judge,
    evaluate(question) {
      const verdict = judge(cedarRequest(question), environmentsOf(question.resource));
      if (verdict.allowed) return verdict;
      const { deciding, faults } = verdict;
      if (faults.length > 0) return { allowed: false, rules: [UNDECIDABLE], hidden: false, faults };
      if (deciding.length === 0) {
        const detail = `no policy permits ${question.action}`;
        return { allowed: false, rules: [{ rule: NOTHING_PERMITS, detail }], hidden: false };
      }
      const rules = deciding.map((p): RuleFinding => ({ rule: p.id, detail: fillRemedy(p.remedy, question) }));
      return { allowed: false, rules, hidden: deciding.some((p) => p.hides) };
    },
  };
}

/** Whose overlays apply: of the environment where the thing is, or of all that a token is asked for. */
export function environmentsOf(resource: {
  readonly environment?: unknown;
  readonly environments?: unknown;
}): readonly string[] {
  const named = Array.isArray(resource.environments) ? resource.environments : [resource.environment];
  return named.filter((e) => typeof e === 'string');
}

/** Allowed where all allow; otherwise everything that objects, each rule once. */
function together(verdicts: readonly Verdict[]): Verdict {
  const denials = verdicts.filter((v) => !v.allowed);
  const [first] = verdicts;
  if (denials.length === 0 && first?.allowed) return first;
  const deciding = new Map(denials.flatMap((v) => v.deciding.map((p) => [p.id, p] as const)));
  return { allowed: false, deciding: [...deciding.values()], faults: denials.flatMap((v) => v.faults) };
}

/** The rule of a denial that no rule made. */
export const NOTHING_PERMITS = 'nothing-permits';

/** The rule of a denial because the policies could not be evaluated. */
export const UNDECIDABLE: RuleFinding = {
  rule: 'policy-cannot-be-evaluated',
  detail: 'ask the facility: its policies cannot judge this request',
};

/** Cedar would read two texts that are not well formed as the same one. */
function isWhole(value: unknown): boolean {
  return Array.isArray(value) ? value.every(isWhole) : typeof value !== 'string' || value.isWellFormed();
}

/** A call that throws is a call that failed. */
function authorized(call: cedar.StatefulAuthorizationCall): cedar.AuthorizationAnswer {
  try {
    return cedar.statefulIsAuthorized(call);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    return { type: 'failure', errors: [{ message, help: null, code: null, url: null, severity: null }], warnings: [] };
  }
}

function faulty(faults: readonly RuleFinding[]): Verdict {
  return { allowed: false, deciding: [], faults };
}
