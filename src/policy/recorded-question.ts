/**
 * A question as the audit log keeps it (`detail.question`): what Cedar saw and what came of it, so that another policy set can decide it again. Holds
 * attributes, not bearers: nothing in it is secret. Read back with care, as a file of records may come from anywhere.
 */
import { z } from 'zod';
import { environmentsOf } from './evaluate.ts';
import { type CedarRequest, cedarRequest, type Decision, type PolicyQuestion } from './question.ts';

const PRINCIPALS = ['Token', 'Session', 'StreamingNode', 'ClusterAgent', 'ForeignIdentity', 'Anonymous'] as const;
const attributes = z.record(
  z.string(),
  z.union([z.string(), z.boolean(), z.int(), z.array(z.string()).max(10_000).readonly()]),
);

const recordedSchema = z.strictObject({
  principal: z.enum(PRINCIPALS),
  attributes,
  action: z.string(),
  resource: attributes,
  context: z.strictObject({ reads: z.boolean(), lockdown: z.boolean(), withinPurpose: z.boolean() }),
  allowed: z.boolean(),
  /** The rules that decided. */
  rules: z.array(z.string()),
  /** Digest of the set that decided, hex. */
  policy: z.string(),
});

export type RecordedQuestion = z.output<typeof recordedSchema>;

export function recordedQuestion(question: PolicyQuestion, decision: Decision, policy: string): RecordedQuestion {
  const { principal, context, entities } = cedarRequest(question);
  const { scope: _, ...circumstances } = context;
  const [caller, thing] = entities.map((e) => attributes.parse(e.attrs));
  return {
    principal: z.enum(PRINCIPALS).parse(principal.type),
    attributes: caller ?? {},
    action: question.action,
    resource: thing ?? {},
    context: circumstances,
    allowed: decision.allowed,
    rules: decision.allowed ? [...decision.rules] : decision.rules.map((r) => r.rule),
    policy,
  };
}

/** Undefined where it is none of ours. */
export function readRecordedQuestion(value: unknown): RecordedQuestion | undefined {
  const parsed = recordedSchema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}

/** As Cedar takes it, with the environments whose overlays apply. */
export function requestOf(recorded: RecordedQuestion): {
  readonly request: CedarRequest;
  readonly environments: readonly string[];
} {
  const principal = { type: recorded.principal, id: 'recorded' };
  const thing = { type: 'Thing', id: 'thing' };
  const plain = (attrs: RecordedQuestion['attributes']) =>
    Object.fromEntries(Object.entries(attrs).map(([k, v]) => [k, typeof v === 'object' ? [...v] : v]));
  return {
    request: {
      principal,
      action: { type: 'Action', id: recorded.action },
      resource: thing,
      context: { scope: recorded.action, ...recorded.context },
      entities: [
        { uid: principal, attrs: plain(recorded.attributes), parents: [] },
        { uid: thing, attrs: plain(recorded.resource), parents: [] },
      ],
    },
    environments: environmentsOf(recorded.resource),
  };
}
