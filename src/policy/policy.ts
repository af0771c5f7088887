/**
 * The policy of this replica: the set in force, decisions remembered by everything they depend on, and the way to a new set. Decisions are kept
 * by what Cedar sees (the caller's attributes, action, resource), not by token id, so that nothing revoked or changed can live on in them.
 */
import { Problem } from '../problems.ts';
import { type Evaluator, evaluator } from './evaluate.ts';
import type { PolicySet } from './policy-set.ts';
import { cedarRequest, type Decision, type PolicyQuestion } from './question.ts';

const REMEMBERED = 50_000;

export interface Policy {
  /** Of the set in force. */
  digest(): string;
  decide(question: PolicyQuestion): Decision;
  /** Throws `refused` with the rules that say no, or `not-found` where the thing's existence is no business of the caller. */
  authorize(question: PolicyQuestion): void;
  /** Puts another set in force, from the next question on. */
  replace(set: PolicySet): void;
}

export interface PolicyAlarm {
  error(fields: object, text: string): void;
}

export function openPolicy(first: PolicySet, log: PolicyAlarm): Policy {
  let set = first;
  let engine: Evaluator = evaluator(first);
  const remembered = new Map<string, Decision>();

  const decide = (question: PolicyQuestion): Decision => {
    const key = keyOf(question);
    const known = remembered.get(key);
    if (known !== undefined) return known;
    const decision = engine.evaluate(question);
    if (!decision.allowed && decision.fault !== undefined) {
      log.error(
        { action: question.action, caller: question.caller.id, fault: decision.fault },
        'a policy cannot be evaluated: denied',
      );
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
      if (decision.allowed) return;
      if (decision.hidden && question.resource.environment !== undefined) {
        throw new Problem('not-found', 'No such thing, or none that you may see.', { cause: decision.rules });
      }
      const details = decision.rules.map((r) => r.detail).join('; ');
      throw new Problem('refused', `${question.action} is refused: ${details}.`, { rules: decision.rules });
    },
    replace(next) {
      engine = evaluator(next);
      set = next;
      remembered.clear();
    },
  };
}

function keyOf(question: PolicyQuestion): string {
  const { entities, principal } = cedarRequest(question);
  return JSON.stringify([principal.type, question.action, entities.map((e) => e.attrs)]);
}
