/**
 * The policy of this replica: the set in force, decisions remembered by everything they depend on, and the way to a new set. Decisions are kept
 * by what Cedar sees (the caller's attributes, action, resource), not by token id, so that nothing revoked or changed can live on in them.
 */
import { Problem } from '../problems.ts';
import { type Evaluator, evaluator } from './evaluate.ts';
import type { PolicySet } from './policy-set.ts';
import { cedarRequest, type Decision, type PolicyQuestion } from './question.ts';
import { type RecordedQuestion, recordedQuestion } from './recorded-question.ts';

const REMEMBERED = 50_000;

export interface Policy {
  /** Of the set in force. */
  digest(): string;
  decide(question: PolicyQuestion): Decision;
  /** Throws `refused` with the rules that say no, or `not-found` where the thing's existence is no business of the caller. */
  authorize(question: PolicyQuestion): void;
  /** The question and its answer in the form that the audit log keeps, to be decided again by another set (`policy replay`). */
  record(question: PolicyQuestion, decision: Decision): RecordedQuestion;
  /** Puts another set in force, from the next question on. */
  replace(set: PolicySet): void;
}

export interface PolicyAlarm {
  error(fields: object, text: string): void;
}

/** One rule that could not be evaluated, on one request. */
export interface PolicyFault {
  readonly digest: string;
  readonly rule: string;
  readonly detail: string;
  readonly question: PolicyQuestion;
}

/** `raise` is told of every evaluation that fails; see alarm.ts. */
export function openPolicy(
  first: PolicySet,
  log: PolicyAlarm,
  raise: (fault: PolicyFault) => void = () => undefined,
): Policy {
  let set = first;
  let engine: Evaluator = evaluator(first);
  const remembered = new Map<string, Decision>();

  const decide = (question: PolicyQuestion): Decision => {
    const key = keyOf(question);
    const known = remembered.get(key);
    if (known !== undefined) return known;
    const decision = engine.evaluate(question);
    if (!decision.allowed && decision.faults !== undefined) {
      log.error(
        { action: question.action, caller: question.caller.id, faults: decision.faults },
        'a policy cannot be evaluated: denied',
      );
      for (const { rule, detail } of decision.faults) raise({ digest: set.digest, rule, detail, question });
      return decision;
    }
    if (remembered.size >= REMEMBERED) remembered.clear();
    remembered.set(key, decision);
    return decision;
  };

  return {
    digest: () => set.digest,
    decide,
    authorize(question) {
      const decision = decide(question);
      if (!decision.allowed) throw refusalOf(question, decision);
    },
    record: (question, decision) => recordedQuestion(question, decision, set.digest),
    replace(next) {
      engine = evaluator(next);
      set = next;
      remembered.clear();
    },
  };
}

/** What a denial is to whoever asked: `refused`, or `not-found` where the thing's existence is no business of theirs. */
export function refusalOf(question: PolicyQuestion, decision: Extract<Decision, { allowed: false }>): Problem {
  if (decision.hidden && question.resource.environment !== undefined)
    return new Problem('not-found', 'No such thing, or none that you may see.', { cause: decision.rules });
  const details = decision.rules.map((r) => r.detail).join('; ');
  return new Problem('refused', `${question.action} is refused: ${details}.`, { rules: decision.rules });
}

function keyOf(question: PolicyQuestion): string {
  const { entities, principal, context } = cedarRequest(question);
  const { lockdown, withinPurpose } = context;
  return JSON.stringify([principal.type, question.action, lockdown, withinPurpose, entities.map((e) => e.attrs)]);
}
