/**
 * Act `withdraw`: takes a QoS of ours from the account of a project, and then from those of its users who hold it in a list of their own: after it nobody of the account has it.
 * Running jobs go on with it until they end; pending ones stay and wait as InvalidQOS; new ones are refused.
 */
import type { ActInput, ActOutput, SlurmFailure } from '../contract/index.ts';
import { disagreement, factOf, rowsOf } from './access.ts';
import { converge, type Look } from './converge.ts';
import { changeDatabase } from './database.ts';
import type { AccessRow } from './parse-qos.ts';
import { isName, mappedAccount, ownName, type PolicySettings } from './policy-settings.ts';

/** Withdrawing what nobody holds writes nothing. Throws `refused`, `not-found`, `unavailable`. */
export async function withdraw(settings: PolicySettings, input: ActInput<'withdraw'>): Promise<ActOutput<'withdraw'>> {
  const tier = ownName(settings, input.tier, 'QoS');
  const account = mappedAccount(settings, input.project);
  const where = `cluster=${settings.cluster}`;
  let rows: readonly AccessRow[] = [];
  const look = async (): Promise<Look<readonly AccessRow[]>> => {
    rows = await rowsOf(settings, account);
    const holder = rows.find((r) => r.tiers.includes(tier));
    if (holder !== undefined)
      return { lags: 'slurmdbd', why: `${holder.user ?? account} of ${account} still holds QoS ${tier}` };
    const why = await disagreement(settings, tier, rows);
    return why === undefined ? { settled: rows } : { lags: 'slurmctld', why };
  };
  const push = async (): Promise<SlurmFailure | undefined> => {
    if (rows.some((r) => r.defaultTier === tier))
      settings.log.warn(
        { account, tier },
        'the QoS that is withdrawn is the default one: jobs that name none will be refused',
      );
    const fault = await changeDatabase(settings, [['modify', 'account', account, where, 'set', `qos-=${tier}`]]);
    if (fault !== undefined) return fault;
    // Only those who hold it still: on one who inherits, `-=` would leave an exception behind that outlives the next grant.
    const own = (await rowsOf(settings, account)).flatMap(({ user, tiers, partition }) =>
      user !== undefined && isName(user) && tiers.includes(tier)
        ? [
            [
              ...['modify', 'user', user, `account=${account}`, where],
              ...(partition === '' ? [] : [`partition=${partition}`]),
              ...['set', `qos-=${tier}`],
            ],
          ]
        : [],
    );
    return changeDatabase(settings, own);
  };
  return { access: (await converge(settings, { look, push })).map(factOf) };
}
