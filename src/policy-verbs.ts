/** The verbs `policy test`, `policy diff` and `policy replay`: read a facility folder; no server decides, and only `replay --since` asks one for records. */
import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { loadFacility } from './facility/index.ts';
import {
  loadPolicySet,
  matrixDiff,
  openReplay,
  policyMatrix,
  type ReplayReport,
  readPolicySet,
  testPolicies,
} from './policy/index.ts';

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
  const width = (of: (d: (typeof differences)[number]) => string): number =>
    2 + Math.max(0, ...differences.map((d) => of(d).length));
  const [callers, actions] = [width((d) => d.caller), width((d) => d.action)];
  const lines = differences.map(
    (d) => `${d.caller.padEnd(callers)}${d.action.padEnd(actions)}${d.before}  ->  ${d.after}\n`,
  );
  return {
    ok: differences.length === 0,
    document: { differences },
    text: lines.length === 0 ? 'no decision differs\n' : lines.join(''),
  };
}

/** Which recorded requests the policies of `facilityDir` would decide otherwise. Throws PolicySetError where that set is faulty. */
export async function policyReplay(facilityDir: string, records: AsyncIterable<unknown>): Promise<VerbReport> {
  const replay = openReplay(loadPolicySet(facilityDir));
  for await (const record of records) replay.take(record);
  const report = replay.report();
  // A record that cannot be read might hold a flip.
  return {
    ok: report.flipped + report.unreadable === 0,
    document: { ...report, notRecorded: NOT_RECORDED },
    text: replayText(report),
  };
}

const NOT_RECORDED = 'reads that were allowed are not in the audit log, so nothing is said about them';

function replayText({ candidate, decided, without, unreadable, flipped, flips }: ReplayReport): string {
  const lines = flips.flatMap((f) => [
    `${f.was} -> ${f.becomes}  ${f.action}  ${f.caller}  ${f.count}x  by ${f.rules.join(', ')}`,
    ...f.examples.map((e) => `    record ${e.sequence}, ${e.at}, ${e.requestId}${e.resource && `, ${e.resource}`}`),
  ]);
  const broken = unreadable === 0 ? '' : `; ${unreadable} could not be read`;
  return [
    ...lines,
    `${flipped} of ${decided} recorded decisions would be another under policy set ${candidate.slice(0, 12)}`,
    `${without} other records hold no decision${broken}`,
    NOT_RECORDED,
    '',
  ].join('\n');
}

/** Records of `beamway audit export`, one JSON document a line; `-` is the standard input. A line that is no JSON counts as unreadable. */
export async function* recordsIn(file: string): AsyncGenerator<unknown> {
  // Opened first: the lines of a stream that fails to open end without an error.
  const lines = file === '-' ? createInterface({ input: process.stdin }) : (await open(file)).readLines();
  for await (const line of lines) {
    if (line.trim() === '') continue;
    try {
      yield JSON.parse(line);
    } catch {
      yield undefined;
    }
  }
}
