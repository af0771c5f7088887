/**
 * A set of policies as files say it: a base and an overlay per environment, parsed and validated against the schema, with one digest over all
 * of it. Overlays may only forbid, so an environment is never laxer than the base: the pathway only gets stricter (paper section 5).
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import * as cedar from '@cedar-policy/cedar-wasm/nodejs';
import { filesIn } from './policy-files.ts';

export interface PolicyText {
  readonly id: string;
  readonly file: string;
  readonly text: string;
  readonly effect: 'permit' | 'forbid';
  readonly remedy: string;
  /** A denial by this rule must not tell that the thing exists. */
  readonly hides: boolean;
}

export interface PolicySet {
  /** SHA-256 over names and contents of all files, hex. */
  readonly digest: string;
  readonly schema: string;
  readonly base: readonly PolicyText[];
  readonly overlays: ReadonlyMap<string, readonly PolicyText[]>;
}

/** Every fault of every file, one a line. The set is refused whole. */
export class PolicySetError extends Error {
  override readonly name = 'PolicySetError';
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(faults.join('\n'));
    this.faults = faults;
  }
}

/** Reads `policies/` of a facility folder. Throws PolicySetError. Does not run the set's own tests: see test-policies.ts. */
export function readPolicySet(facilityDir: string): PolicySet {
  const directory = join(facilityDir, 'policies');
  const faults: string[] = [];
  const hash = createHash('sha256');
  const read = (path: string): string => {
    try {
      const text = readFileSync(path, 'utf8');
      hash.update(`${path.slice(directory.length)}\n${text.length}\n${text}`);
      return text;
    } catch (cause) {
      faults.push(`${path}: ${cause instanceof Error ? cause.message : String(cause)}`);
      return '';
    }
  };
  const schema = read(join(directory, 'schema.cedarschema'));
  const parsed = cedar.checkParseSchema(schema);
  if (parsed.type === 'failure')
    faults.push(...parsed.errors.map((e) => `${join(directory, 'schema.cedarschema')}: ${e.message}`));
  const base = filesIn(directory, '.cedar').flatMap((file) => split(file, read(file), faults));
  const overlays = new Map<string, readonly PolicyText[]>();
  for (const file of filesIn(join(directory, 'environments'), '.cedar')) {
    const policies = split(file, read(file), faults);
    for (const p of policies) if (p.effect === 'permit') faults.push(`${file}: ${p.id}: an overlay may only forbid`);
    overlays.set(basename(file, '.cedar'), policies);
  }
  for (const [name, policies] of [['', [] as readonly PolicyText[]] as const, ...overlays]) {
    const all = [...base, ...policies];
    const ids = all.map((p) => p.id);
    for (const id of new Set(ids.filter((x, i) => ids.indexOf(x) !== i)))
      faults.push(`policy ${id} is there twice${name === '' ? '' : ` in ${name}`}`);
    if (faults.length === 0) faults.push(...validate(schema, all));
  }
  if (!base.some((p) => p.effect === 'permit') && faults.length === 0)
    faults.push(`${directory}: nothing is permitted`);
  if (faults.length > 0) throw new PolicySetError([...new Set(faults)]);
  return { digest: hash.digest('hex'), schema, base, overlays };
}

function split(file: string, text: string, faults: string[]): readonly PolicyText[] {
  const parts = cedar.policySetTextToParts(text);
  if (parts.type === 'failure') {
    faults.push(
      ...parts.errors.map((e) => `${file}:${lineOf(text, e)}: ${e.message}${e.help === null ? '' : ` (${e.help})`}`),
    );
    return [];
  }
  const policies = parts.policies.flatMap((one): PolicyText[] => {
    const json = cedar.policyToJson(one);
    if (json.type === 'failure') {
      faults.push(`${file}: ${json.errors.map((e) => e.message).join('; ')}`);
      return [];
    }
    const { annotations = {}, effect } = json.json;
    const id = annotations['id'];
    const remedy = annotations['remedy'] ?? '';
    if (typeof id !== 'string' || !/^[a-z][a-z0-9-]{2,63}$/.test(id))
      faults.push(`${file}: a policy needs @id("lower-case-words"): ${one.slice(0, 80)}`);
    if (effect === 'forbid' && remedy === '')
      faults.push(`${file}: ${id ?? '?'}: a forbid needs @remedy("what would change it")`);
    return [
      { id: String(id), file, text: one, effect, remedy: String(remedy), hides: annotations['hides'] === 'existence' },
    ];
  });
  // Cedar gives the parts by their own names (policy10 before policy2); a denial names its rules in the order of the file.
  const place = (p: PolicyText): number => text.indexOf(`@id("${p.id}")`);
  return policies.sort((x, y) => place(x) - place(y));
}

function lineOf(text: string, error: cedar.DetailedError): number {
  const start = error.sourceLocations?.[0]?.start ?? 0;
  return text.slice(0, start).split('\n').length;
}

function validate(schema: string, policies: readonly PolicyText[]): readonly string[] {
  const answer = cedar.validate({
    schema,
    policies: { staticPolicies: Object.fromEntries(policies.map((p) => [p.id, p.text])) },
  });
  if (answer.type === 'failure') return answer.errors.map((e) => e.message);
  return answer.validationErrors.map(({ policyId, error }) => {
    const file = policies.find((p) => p.id === policyId)?.file ?? '';
    return `${file}: ${policyId}: ${error.message}${error.help === null ? '' : ` (${error.help})`}`;
  });
}
