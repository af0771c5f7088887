/**
 * Decides recorded requests again by a candidate set: which of them would come out otherwise. The evidence for a change of policy before it is in
 * force. Pure but for Cedar; takes one record after the other, so that a log of any length can be read through it.
 */
import { z } from 'zod';
import { evaluator, NOTHING_PERMITS, UNDECIDABLE } from './evaluate.ts';
import type { PolicySet } from './policy-set.ts';
import { type RecordedQuestion, readRecordedQuestion, requestOf } from './recorded-question.ts';

/** Of a record in the API's shape, what replay looks at; the rest is carried past. */
const recordSchema = z.object({
  sequence: z.number(),
  at: z.string(),
  requestId: z.string(),
  phase: z.string(),
  callerKind: z.string(),
  subject: z.string(),
  resource: z.string(),
  detail: z.record(z.string(), z.unknown()),
});

export interface FlipExample {
  readonly sequence: number;
  readonly at: string;
  readonly requestId: string;
  readonly resource: string;
}

/** Requests of one caller that come out otherwise, in the same way. */
export interface Flip {
  readonly was: 'allow' | 'deny';
  readonly becomes: 'allow' | 'deny';
  /** The rules that deny: the candidate's where it denies, the old set's where it allows. */
  readonly rules: readonly string[];
  readonly action: string;
  readonly caller: string;
  readonly count: number;
  readonly examples: readonly FlipExample[];
}

export interface ReplayReport {
  /** Digest of the candidate. */
  readonly candidate: string;
  readonly decided: number;
  /** Records of requests without a question, and events, which policy did not decide. */
  readonly without: number;
  /** Records that are none, or whose question cannot be read. */
  readonly unreadable: number;
  readonly flipped: number;
  readonly flips: readonly Flip[];
}

export interface Replay {
  take(record: unknown): void;
  report(): ReplayReport;
}

const EXAMPLES = 3;
const REMEMBERED = 50_000;

interface Outcome {
  readonly allowed: boolean;
  readonly rules: readonly string[];
}

export function openReplay(candidate: PolicySet): Replay {
  const engine = evaluator(candidate);
  const remembered = new Map<string, Outcome>();
  const flips = new Map<string, Flip & { readonly examples: FlipExample[] }>();
  let decided = 0;
  let without = 0;
  let unreadable = 0;

  const decide = (question: RecordedQuestion): Outcome => {
    const { principal, attributes, action, resource, context } = question;
    const key = JSON.stringify([principal, attributes, action, resource, context]);
    const known = remembered.get(key);
    if (known !== undefined) return known;
    const { request, environments } = requestOf(question);
    const verdict = engine.judge(request, environments);
    const outcome = verdict.allowed ? verdict : { allowed: false, rules: rulesAgainst(verdict) };
    if (remembered.size >= REMEMBERED) remembered.clear();
    remembered.set(key, outcome);
    return outcome;
  };

  return {
    take(given) {
      const parsed = recordSchema.safeParse(given);
      if (!parsed.success) {
        unreadable += 1;
        return;
      }
      const record = parsed.data;
      if (record.detail['question'] === undefined) {
        without += 1;
        return;
      }
      const question = readRecordedQuestion(record.detail['question']);
      if (question === undefined) {
        unreadable += 1;
        return;
      }
      decided += 1;
      const outcome = decide(question);
      if (outcome.allowed === question.allowed) return;
      const { sequence, at, requestId, resource } = record;
      const rules = question.allowed ? outcome.rules : question.rules;
      const caller = `${record.callerKind} of ${record.subject}`;
      const key = JSON.stringify([question.allowed, rules, question.action, caller]);
      const known = flips.get(key);
      const example = { sequence, at, requestId, resource };
      const examples = known?.examples ?? [];
      if (examples.length < EXAMPLES) examples.push(example);
      flips.set(key, {
        was: say(question.allowed),
        becomes: say(outcome.allowed),
        rules,
        action: question.action,
        caller,
        count: (known?.count ?? 0) + 1,
        examples,
      });
    },
    report() {
      const sorted = [...flips.values()].sort((a, b) => b.count - a.count);
      const flipped = sorted.reduce((sum, f) => sum + f.count, 0);
      return { candidate: candidate.digest, decided, without, unreadable, flipped, flips: sorted };
    },
  };
}

const say = (allowed: boolean): 'allow' | 'deny' => (allowed ? 'allow' : 'deny');

function rulesAgainst(verdict: {
  readonly deciding: readonly { readonly id: string }[];
  readonly faults: readonly object[];
}) {
  if (verdict.faults.length > 0) return [UNDECIDABLE.rule];
  return verdict.deciding.length === 0 ? [NOTHING_PERMITS] : verdict.deciding.map((p) => p.id);
}
