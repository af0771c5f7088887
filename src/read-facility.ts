/** Reads a whole facility folder into one value: `up` before it starts anything, `check`, and the control plane where it was not handed one. No state. */
import { readAuditRules } from './audit/index.ts';
import { loadFacility } from './facility/index.ts';
import { loadFederation, loadPeopleSettings, loadSignIn, loadTokenRules } from './identity/index.ts';
import { loadLimitRules, loadPolicySet } from './policy/index.ts';
import { loadTemplates } from './streaming/index.ts';

export type FacilityFolder = ReturnType<typeof readFacility>;

/** `limitFactor` multiplies every rate, burst and cap of limits.yaml. Throws YamlError or PolicySetError with every fault of the first file that has some. */
export function readFacility(directory: string, limitFactor = 1) {
  const facility = loadFacility(directory);
  return {
    facility,
    templates: loadTemplates(facility),
    auditRules: readAuditRules(directory),
    tokenRules: loadTokenRules(directory),
    signIn: loadSignIn(directory),
    people: loadPeopleSettings(facility),
    federation: loadFederation(facility),
    limitRules: loadLimitRules(directory, limitFactor),
    policySet: loadPolicySet(directory),
  };
}
