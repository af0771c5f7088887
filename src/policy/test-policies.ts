/**
 * A policy set's own tests: requests and what must come of them, as YAML beside the policies. Also counts which rules no test ever saw decide, so
 * that coverage is a number.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { nameSchema, readYaml, YamlError } from '../facility/index.ts';
import { ANONYMOUS, agentSubject, CLASSIFICATIONS, isScope, ROLES } from '../identity/index.ts';
import { isAction } from './action.ts';
import { evaluator } from './evaluate.ts';
import { filesIn } from './policy-files.ts';
import { type PolicySet, PolicySetError, readPolicySet } from './policy-set.ts';
import type { Asker } from './question.ts';

/** Ages of factors count from here; no test depends on the day it runs. */
const NOW = Date.UTC(2026, 0, 1);

const callerSchema = z.union([
  z.literal('anonymous'),
  z.strictObject({
    token: z.strictObject({
      project: nameSchema,
      enclave: z.enum(['open', 'moderate']),
      environments: z.array(nameSchema),
      scopes: z.array(z.string().refine(isScope, 'no such scope')),
      purpose: nameSchema.optional(),
      classification: z.enum(CLASSIFICATIONS).default('public'),
    }),
  }),
  z.strictObject({
    session: z.strictObject({
      subject: z.string().min(1).default('test'),
      roles: z.array(z.enum(ROLES)),
      projects: z.array(nameSchema),
      leads: z.array(nameSchema).default([]),
      methods: z.array(nameSchema).default(['oidc']),
      /** Absent: no second factor was shown in the session. */
      factorAgeMinutes: z.int().min(0).optional(),
    }),
  }),
  z.strictObject({ node: nameSchema }),
  /** The Slurm agent of a cluster. */
  z.strictObject({ agent: nameSchema }),
  z.strictObject({ foreign: z.strictObject({ issuer: nameSchema, subject: z.string().min(1) }) }),
]);

const fileSchema = z.strictObject({
  tests: z.array(
    z.strictObject({
      name: z.string().min(1),
      caller: callerSchema,
      action: z.string().refine(isAction, 'no such action'),
      resource: z.strictObject({
        project: nameSchema.optional(),
        environment: nameSchema.optional(),
        enclave: z.enum(['open', 'moderate']).optional(),
        tier: nameSchema.optional(),
        cluster: nameSchema.optional(),
        admission: z.enum(['credential', 'address']).optional(),
        environments: z.array(nameSchema).optional(),
        scopes: z.array(z.string().refine(isScope, 'no such scope')).optional(),
        classification: z.enum(CLASSIFICATIONS).optional(),
        subject: z.string().min(1).optional(),
      }),
      lockdown: z.boolean().default(false),
      withinPurpose: z.boolean().default(true),
      expect: z.enum(['allow', 'deny']),
      rules: z.array(z.string()).default([]),
    }),
  ),
});

export interface PolicyTestReport {
  readonly passed: number;
  /** `file: name: what came instead`. */
  readonly failures: readonly string[];
  readonly untested: readonly string[];
}

export function testPolicies(facilityDir: string, set: PolicySet): PolicyTestReport {
  const engine = evaluator(set);
  const failures: string[] = [];
  const seen = new Set<string>();
  let passed = 0;
  for (const file of filesIn(join(facilityDir, 'policies', 'tests'), '.yaml')) {
    for (const each of testsOf(file, failures)) {
      const resource = withoutUndefined(each.resource);
      const { action, lockdown, withinPurpose } = each;
      const circumstances = { now: NOW, lockdown, withinPurpose };
      const decision = engine.evaluate({ caller: callerOf(each.caller), action, resource, circumstances });
      const got = decision.allowed ? [...decision.rules] : decision.rules.map((r) => r.rule);
      for (const rule of got) seen.add(rule);
      const asExpected = decision.allowed === (each.expect === 'allow');
      const missing = each.rules.filter((rule) => !got.includes(rule));
      if (asExpected && missing.length === 0) passed += 1;
      else
        failures.push(
          `${file}: ${each.name}: expected ${each.expect} ${each.rules.join(' ')}, got ${decision.allowed ? 'allow' : 'deny'} by ${got.join(' ')}`,
        );
    }
  }
  const all = [...set.base, ...[...set.overlays.values()].flat()].map((p) => p.id);
  return { passed, failures, untested: [...new Set(all)].filter((id) => !seen.has(id)) };
}

/** Reads, validates and tests; what `up` and a reload use. Throws PolicySetError: a set that fails its own tests is refused. */
export function loadPolicySet(facilityDir: string): PolicySet {
  const set = readPolicySet(facilityDir);
  const { failures } = testPolicies(facilityDir, set);
  if (failures.length > 0) throw new PolicySetError(failures);
  return set;
}

function testsOf(file: string, failures: string[]): z.output<typeof fileSchema>['tests'] {
  try {
    return readYaml(file, fileSchema).tests;
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    failures.push(error.message);
    return [];
  }
}

function callerOf(given: z.output<typeof callerSchema>): Asker {
  if (given === 'anonymous') return ANONYMOUS;
  if ('node' in given) return { kind: 'node', id: 'tok_test', subject: given.node };
  if ('agent' in given) return { kind: 'node', id: 'tok_test', subject: agentSubject(given.agent) };
  if ('foreign' in given) return { kind: 'foreign', id: given.foreign.subject, ...given.foreign };
  if ('session' in given) {
    const { methods, factorAgeMinutes, ...person } = given.session;
    const factorAt = factorAgeMinutes === undefined ? null : NOW - factorAgeMinutes * 60_000;
    return { kind: 'session', id: 'tok_test', ...person, assurance: { methods, factorAt } };
  }
  const { scopes, purpose = '', ...rest } = given.token;
  return {
    kind: 'token',
    id: 'tok_test',
    subject: 'test',
    ...rest,
    scopes: scopes.filter(isScope),
    purpose,
  };
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

function withoutUndefined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as Defined<T>;
}
