/**
 * Act `grant`: opens a QoS of ours to the account of a project. Slurm itself adds the one name (`qos+=`), so whatever else stands in the list, put there by an operator a
 * moment ago or not, is not written by us. Users with a list of their own do not inherit: the answer's rows show who has it.
 */
import { type ActInput, type ActOutput, SlurmFailure } from '../contract/index.ts';
import { disagreement, factOf, rowsOf } from './access.ts';
import { converge, type Look } from './converge.ts';
import { changeDatabase, listTiersOf } from './database.ts';
import type { AccessRow } from './parse-qos.ts';
import { mappedAccount, ownName, type PolicySettings } from './policy-settings.ts';

/** Granting what is granted writes nothing. Throws `refused`, `unknown-tier`, `not-found`, `unavailable`. */
export async function grant(settings: PolicySettings, input: ActInput<'grant'>): Promise<ActOutput<'grant'>> {
  const tier = ownName(settings, input.tier, 'QoS');
  const account = mappedAccount(settings, input.project);
  const look = async (): Promise<Look<readonly AccessRow[]>> => {
    const rows = await rowsOf(settings, account);
    if (rows[0]?.tiers.includes(tier) !== true)
      return { lags: 'slurmdbd', why: `account ${account} does not hold QoS ${tier}` };
    const why = await disagreement(settings, tier, rows);
    return why === undefined ? { settled: rows } : { lags: 'slurmctld', why };
  };
  const push = async (): Promise<SlurmFailure | undefined> => {
    if (!(await listTiersOf(settings)).some((t) => t.name === tier))
      throw new SlurmFailure({ kind: 'unknown-tier', message: `no QoS ${tier}` });
    return changeDatabase(settings, [
      ['modify', 'account', account, `cluster=${settings.cluster}`, 'set', `qos+=${tier}`],
    ]);
  };
  return { access: (await converge(settings, { look, push })).map(factOf) };
}
