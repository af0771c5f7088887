/** The offline verbs `policy test` and `policy diff`: read a facility folder, no server, no token. */
import { loadFacility } from './facility/index.ts';
import { matrixDiff, policyMatrix, readPolicySet, testPolicies } from './policy/index.ts';

export interface VerbReport {
  readonly ok: boolean;
  readonly document: object;
  readonly text: string;
}

export function policyTest(facilityDir: string): VerbReport {
  const set = readPolicySet(facilityDir);
  const report = testPolicies(facilityDir, set);
  const untested = report.untested.map((id) => `untested: ${id}\n`).join('');
  const failures = report.failures.map((f) => `failed: ${f}\n`).join('');
  return {
    ok: report.failures.length === 0,
    document: { digest: set.digest, ...report },
    text: `${failures}${untested}${report.passed} passed, ${report.failures.length} failed; policy set ${set.digest.slice(0, 12)}\n`,
  };
}

/** Between two environments of one facility, or two versions of a facility folder. `ok` is false where they differ. */
export function policyDiff(
  a: { readonly dir: string; readonly environment: string },
  b: { readonly dir: string; readonly environment: string },
): VerbReport {
  const rowsOf = ({ dir, environment }: typeof a) => {
    const facility = loadFacility(dir);
    if (!facility.environments.has(environment))
      throw new Error(
        `${dir} has no environment ${environment}; it has ${[...facility.environments.keys()].join(', ')}`,
      );
    return policyMatrix(readPolicySet(dir), facility).filter((row) => row.environment === environment);
  };
  const differences = matrixDiff(rowsOf(a), rowsOf(b));
  const lines = differences.map((d) => `${d.caller.padEnd(26)}${d.action.padEnd(18)}${d.before}  ->  ${d.after}\n`);
  return {
    ok: differences.length === 0,
    document: { differences },
    text: lines.length === 0 ? 'no decision differs\n' : lines.join(''),
  };
}
