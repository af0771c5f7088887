/**
 * What one policy decision costs on the example facility: never asked before (Cedar evaluates it), asked before (remembered), and the comparator: the same
 * question to Cedar with the policies as text, parsed on each call. Issue 3, figures: cold at most 300 us, remembered at most 10 us.
 */
import * as cedar from '@cedar-policy/cedar-wasm/nodejs';
import { EXAMPLE_FACILITY } from '../../src/config.ts';
import { ALL_SCOPES, type Caller } from '../../src/identity/index.ts';
import { loadPolicySet, openPolicy, type PolicyQuestion } from '../../src/policy/index.ts';
import { cedarRequest } from '../../src/policy/question.ts';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { isResolved, median, medianInterval, runPaired } from '../paired-rounds.ts';

const CALLERS = 1000;
const CALLS = { cold: 500, remembered: 20_000, unparsed: 30 } as const;
type Path = keyof typeof CALLS;
const PATHS = ['cold', 'remembered', 'unparsed'] as const;
const NOW = Date.UTC(2026, 10, 1);

/** Half tokens, half sessions with a factor; each of a project of its own, so that no two questions are the same. */
function questionOf(serial: number): PolicyQuestion {
  const project = `project-${serial}`;
  const caller: Caller =
    serial % 2 === 0
      ? {
          kind: 'token',
          id: `tok_${serial}`,
          subject: 'ada',
          project,
          enclave: 'moderate',
          environments: ['seeker', 'frontier'],
          scopes: ALL_SCOPES,
          purpose: 'beamline-streaming',
          classification: 'public',
        }
      : {
          kind: 'session',
          id: `tok_${serial}`,
          subject: `person-${serial}`,
          roles: ['member'],
          projects: [project, 'demo'],
          assurance: { methods: ['oidc', 'totp'], factorAt: NOW - (serial % 60) * 60_000 },
        };
  return {
    caller,
    action: 'stream:create',
    resource: { project, environment: 'frontier', enclave: 'moderate', admission: 'credential' },
    circumstances: { now: NOW, lockdown: false },
  };
}

/** Microseconds per decision, the mean over one round's calls of each path. */
async function measureRounds(context: BenchContext): Promise<readonly Readonly<Record<Path, number>>[]> {
  const set = loadPolicySet(EXAMPLE_FACILITY);
  const policy = openPolicy(set, {
    error: (fields, text) => context.log(`${text} ${JSON.stringify(fields)}`),
  });
  const staticPolicies = Object.fromEntries(
    [...set.base, ...(set.overlays.get('frontier') ?? [])].map((p) => [p.id, p.text]),
  );
  const known = Array.from({ length: CALLERS }, (_, i) => questionOf(i));
  for (const question of known) policy.decide(question);
  let serial = CALLERS;
  const decide: Readonly<Record<Path, (call: number) => boolean>> = {
    cold: () => policy.decide(questionOf(serial++)).allowed,
    remembered: (call) => policy.decide(known[call % CALLERS] ?? questionOf(0)).allowed,
    unparsed(call) {
      const answer = cedar.isAuthorized({
        ...cedarRequest(questionOf(call)),
        schema: set.schema,
        validateRequest: true,
        policies: { staticPolicies },
      });
      return answer.type === 'success' && answer.response.decision === 'allow';
    },
  };
  const measure = async (path: Path): Promise<number> => {
    const begin = process.hrtime.bigint();
    for (let call = 0; call < CALLS[path]; call++)
      if (!decide[path](call)) throw new Error(`${path}: a question of the bench was denied`);
    return Number(process.hrtime.bigint() - begin) / 1000 / CALLS[path];
  };
  for (const path of PATHS) await measure(path);
  const { rounds } = await runPaired<Path, number>(context, {
    paths: PATHS,
    measure,
    enough: (so) => isResolved(so.map((r) => r.cold / r.unparsed)),
    describe: (us) => `${us.toFixed(1)} us`,
  });
  return rounds;
}

type Rounds = readonly Readonly<Record<Path, number>>[];
let shared: Promise<Rounds> | undefined;
/** One set of rounds for all three figures. */
function roundsOf(context: BenchContext): Promise<Rounds> {
  shared ??= measureRounds(context);
  return shared;
}

async function absolute(context: BenchContext, path: 'cold' | 'remembered', goalUs: number): Promise<FigureOutcome> {
  const rounds = await roundsOf(context);
  const values = rounds.map((r) => r[path]);
  return {
    kind: 'measured',
    result: {
      figure: `policy-decision-${path}`,
      value: median(values),
      unit: 'us',
      goal: { max: goalUs },
      rounds: rounds.length,
      spread: [Math.min(...values), Math.max(...values)],
      detail: { callers: CALLERS, callsPerRound: CALLS[path] },
    },
  };
}

async function ratio(context: BenchContext): Promise<FigureOutcome> {
  const rounds = await roundsOf(context);
  const ratios = rounds.map((r) => r.cold / r.unparsed);
  return {
    kind: 'measured',
    result: {
      figure: 'policy-decision-cold-to-unparsed',
      value: median(ratios),
      unit: 'ratio',
      comparator: 'cedar-with-policies-as-text',
      rounds: rounds.length,
      spread: medianInterval(ratios),
      resolved: isResolved(ratios),
      detail: { unparsedUs: Math.round(median(rounds.map((r) => r.unparsed))) },
    },
  };
}

export const figures: readonly BenchFigure[] = [
  {
    name: 'policy-decision-cold',
    group: 'policy',
    title: 'microseconds for a decision that was never asked for',
    run: (context) => absolute(context, 'cold', 300),
  },
  {
    name: 'policy-decision-remembered',
    group: 'policy',
    title: 'microseconds for a decision that is remembered, over 1,000 callers',
    run: (context) => absolute(context, 'remembered', 10),
  },
  {
    name: 'policy-decision-cold-to-unparsed',
    group: 'policy',
    title: 'a decision that was never asked for / the same one with the policies parsed on each call',
    run: ratio,
  },
];
