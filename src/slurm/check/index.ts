/** Door of `beamway slurm check`, apart from the room's own so that the verb loads neither agent nor signer. */
export { SlurmFailure } from '../contract/index.ts';
export { type LookOptions, lookAtSite } from './look-at-site.ts';
export { type CheckReport, checkSite, hasRisk, reportText, ruleTable } from './report.ts';
