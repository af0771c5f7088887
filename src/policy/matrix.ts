/**
 * The policy matrix: typical callers x actions x environments, and what comes of each. docs/reference/policy-matrix.txt is generated from it and
 * reviewed in diffs; `policy diff` compares two of them.
 */
import type { Facility } from '../facility/index.ts';
import { ALL_SCOPES, ANONYMOUS, agentSubject, type SessionCaller, type TokenCaller } from '../identity/index.ts';
import { ACTIONS, type Action } from './action.ts';
import { evaluator } from './evaluate.ts';
import type { PolicySet } from './policy-set.ts';
import type { Asker, PolicyResource } from './question.ts';

export interface MatrixRow {
  readonly environment: string;
  readonly caller: string;
  readonly action: Action;
  readonly allowed: boolean;
  readonly rules: readonly string[];
}

const PROJECT = 'demo';
/** The matrix has no clock: ages of factors count from here. */
const NOW = Date.UTC(2026, 0, 1);

interface MatrixCaller {
  readonly name: string;
  readonly caller: Asker;
  readonly lockdown?: true;
}

function callersFor(enclave: 'open' | 'moderate', environment: string): readonly MatrixCaller[] {
  const token = (name: string, over: Partial<TokenCaller>): MatrixCaller => ({
    name,
    caller: {
      kind: 'token',
      id: 'tok',
      subject: 's',
      project: PROJECT,
      enclave,
      environments: [environment],
      scopes: ALL_SCOPES,
      purpose: '',
      classification: 'public',
      ...over,
    },
  });
  const session = (name: string, over: Pick<SessionCaller, 'roles'> & Partial<SessionCaller>): MatrixCaller => ({
    name,
    caller: {
      kind: 'session',
      id: 'tok',
      subject: 's',
      projects: [],
      assurance: { methods: ['oidc', 'totp'], factorAt: NOW },
      ...over,
    },
  });
  const assurance = { methods: ['oidc'], factorAt: null };
  const foreign: Asker = { kind: 'foreign', id: 's@lightsource', issuer: 'lightsource', subject: 's@lightsource' };
  return [
    { name: 'anonymous', caller: ANONYMOUS },
    { name: 'node', caller: { kind: 'node', id: 'tok', subject: 'dsn01' } },
    { name: 'Slurm agent', caller: { kind: 'node', id: 'tok', subject: agentSubject('local') } },
    { name: 'person of another issuer', caller: foreign },
    { name: 'person of another issuer, while locked down', caller: foreign, lockdown: true },
    token('token, all scopes', {}),
    token('token, no scope', { scopes: [] }),
    token('token, other project', { project: 'other' }),
    token('token, other environment', { environments: ['elsewhere'] }),
    token('token, other enclave', { enclave: enclave === 'open' ? 'moderate' : 'open', environments: ['elsewhere'] }),
    token('token outside its purpose', { purpose: 'monitoring' }),
    token('token for controlled data', { classification: 'controlled' }),
    { ...token('token, while locked down', {}), lockdown: true },
    session('member', { roles: ['member'], projects: [PROJECT] }),
    session('member without a factor', { roles: ['member'], projects: [PROJECT], assurance }),
    session('project lead', { roles: ['project-lead'], projects: [PROJECT], leads: [PROJECT] }),
    session('stranger', { roles: ['member'] }),
    session('operator', { roles: ['operator'] }),
    session('security', { roles: ['security'] }),
    session('administrator', { roles: ['administrator'] }),
    session('administrator without a factor', { roles: ['administrator'], assurance }),
    { ...session('administrator, while locked down', { roles: ['administrator'] }), lockdown: true },
  ];
}

export function policyMatrix(set: PolicySet, facility: Facility): readonly MatrixRow[] {
  const engine = evaluator(set);
  const rows: MatrixRow[] = [];
  for (const { name: environment, enclave } of facility.environments.values()) {
    const resource: PolicyResource = { project: PROJECT, environment, enclave };
    for (const { name, caller, lockdown = false } of callersFor(enclave, environment)) {
      const withinPurpose = caller.kind !== 'token' || caller.purpose === '';
      for (const action of ACTIONS) {
        const circumstances = { now: NOW, lockdown, withinPurpose };
        const decision = engine.evaluate({ caller, action, resource, circumstances });
        const rules = decision.allowed ? [] : decision.rules.map((r) => r.rule);
        rows.push({ environment, caller: name, action, allowed: decision.allowed, rules });
      }
    }
  }
  return rows;
}

/** A block for each environment and caller: what is allowed, then what is denied, by the rules that deny it. */
export function matrixText(rows: readonly MatrixRow[]): string {
  const blocks = [...Map.groupBy(rows, (r) => r.environment)].map(([environment, own]) => {
    const callers = [...Map.groupBy(own, (r) => r.caller)].map(([caller, decisions]) => {
      const verdicts = Map.groupBy(decisions, (r) => (r.allowed ? 'may' : `not, by ${r.rules.join(', ')}`));
      const lines = [...verdicts].map(([verdict, those]) => `    ${verdict}: ${those.map((r) => r.action).join(' ')}`);
      return `  ${caller}\n${lines.join('\n')}`;
    });
    return `## ${environment}\n${callers.join('\n')}\n`;
  });
  return blocks.join('\n');
}

export interface MatrixDifference {
  readonly caller: string;
  readonly action: Action;
  readonly before: string;
  readonly after: string;
}

/** Where two lists of rows for the same callers and actions differ. */
export function matrixDiff(before: readonly MatrixRow[], after: readonly MatrixRow[]): readonly MatrixDifference[] {
  const say = (r: MatrixRow): string => (r.allowed ? 'allow' : `deny by ${r.rules.join(', ')}`);
  const old = new Map(before.map((r) => [`${r.caller}\n${r.action}`, r]));
  return after.flatMap((r) => {
    const was = old.get(`${r.caller}\n${r.action}`);
    return was === undefined || say(was) === say(r)
      ? []
      : [{ caller: r.caller, action: r.action, before: say(was), after: say(r) }];
  });
}
