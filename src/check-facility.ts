/** The verb `check`: reads a facility folder as `up` would and reports; starts nothing. */
import { YamlError, type YamlFault } from './facility/index.ts';
import { PolicySetError, testPolicies } from './policy/index.ts';
import { readFacility } from './read-facility.ts';

export interface FacilityReport {
  readonly ok: boolean;
  readonly faults: readonly YamlFault[];
  readonly text: string;
}

export function checkFacility(directory: string): FacilityReport {
  try {
    const { facility, templates, tokenRules, signIn, people, federation, policySet } = readFacility(directory);
    const tested = testPolicies(directory, policySet);
    const untested =
      tested.untested.length === 0 ? '' : `\nno policy test sees these rules decide: ${tested.untested.join(', ')}`;
    const counts = `${facility.environments.size} environments, ${facility.tiers.size} tiers, ${facility.clusters.length} clusters, ${facility.streamingNodes.length} data streaming nodes, ${templates.size} stream templates, ${tokenRules.powers.length} token powers, ${signIn.providers.length} identity providers, ${people.sources.length} sources of people, ${federation.issuers.length} trusted issuers, ${facility.projects.size} projects, ${policySet.base.length} base rules, ${tested.passed} policy tests passed${untested}`;
    return { ok: true, faults: [], text: `${directory}: ${counts}\n` };
  } catch (error) {
    if (error instanceof PolicySetError) return { ok: false, faults: [], text: `${error.message}\n` };
    if (!(error instanceof YamlError)) throw error;
    return { ok: false, faults: error.faults, text: `${error.message}\n` };
  }
}
