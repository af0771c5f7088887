/** The verb `check`: reads a facility folder as `up` would and reports; starts nothing. */
import { readAuditRules } from './audit/index.ts';
import { loadFacility, YamlError, type YamlFault } from './facility/index.ts';
import { loadFederation, loadPeopleSettings, loadSignIn, loadTokenRules } from './identity/index.ts';
import { loadLimitRules, PolicySetError, readPolicySet, testPolicies } from './policy/index.ts';
import { loadTemplates } from './streaming/index.ts';

export interface FacilityReport {
  readonly ok: boolean;
  readonly faults: readonly YamlFault[];
  readonly text: string;
}

export function checkFacility(directory: string): FacilityReport {
  try {
    const facility = loadFacility(directory);
    const templates = loadTemplates(facility);
    readAuditRules(directory);
    const rules = loadTokenRules(directory);
    const signIn = loadSignIn(directory);
    const people = loadPeopleSettings(facility);
    const federation = loadFederation(facility);
    loadLimitRules(directory);
    const set = readPolicySet(directory);
    const tested = testPolicies(directory, set);
    if (tested.failures.length > 0) throw new PolicySetError(tested.failures);
    const untested =
      tested.untested.length === 0 ? '' : `\nno policy test sees these rules decide: ${tested.untested.join(', ')}`;
    const counts = `${facility.environments.size} environments, ${facility.tiers.size} tiers, ${facility.clusters.length} clusters, ${facility.streamingNodes.length} data streaming nodes, ${templates.size} stream templates, ${rules.powers.length} token powers, ${signIn.providers.length} identity providers, ${people.sources.length} sources of people, ${federation.issuers.length} trusted issuers, ${facility.projects.size} projects, ${set.base.length} base rules, ${tested.passed} policy tests passed${untested}`;
    return { ok: true, faults: [], text: `${directory}: ${counts}\n` };
  } catch (error) {
    if (error instanceof PolicySetError) return { ok: false, faults: [], text: `${error.message}\n` };
    if (!(error instanceof YamlError)) throw error;
    return { ok: false, faults: error.faults, text: `${error.message}\n` };
  }
}
