/**
 * Act `access`: which QoS the account of a project and each of its users may use. Rows are effective lists, as slurmdbd keeps them; a user with a list of their own does not
 * inherit, and their row shows what they have. For QoS of ours slurmctld is asked too, as it is the one that decides.
 */
import { type AccessFact, type ActInput, type ActOutput, SlurmFailure } from '../contract/index.ts';
import { controllerQos, mayUse } from './controller.ts';
import { converge, type Look } from './converge.ts';
import { listAccessOf } from './database.ts';
import type { AccessRow } from './parse-qos.ts';
import { isUnixUser, mappedAccount, type PolicySettings } from './policy-settings.ts';

/** Users of one account that slurmctld is asked about for one QoS; each is a process of about 15 ms. */
const MOST_ASKED = 8;

/** Throws `refused` for a project without an account, `not-found` where Slurm has no such account, `unavailable` where slurmctld does not agree within 10 s. */
export async function access(settings: PolicySettings, input: ActInput<'access'>): Promise<ActOutput<'access'>> {
  const account = mappedAccount(settings, input.project);
  const look = async (): Promise<Look<readonly AccessRow[]>> => {
    const rows = await rowsOf(settings, account);
    const granted = new Set(rows.flatMap((r) => r.tiers).filter((t) => t.startsWith(settings.prefix)));
    for (const tier of granted) {
      const why = await disagreement(settings, tier, rows);
      if (why !== undefined) return { lags: 'slurmctld', why };
    }
    return { settled: rows };
  };
  const rows = await converge(settings, { look, push: async () => undefined });
  return { access: rows.map(factOf) };
}

/** The account's rows; the account itself first. */
export async function rowsOf(settings: PolicySettings, account: string): Promise<readonly AccessRow[]> {
  const rows = await listAccessOf(settings, account);
  const own = rows.find((r) => r.user === undefined);
  if (own === undefined)
    throw new SlurmFailure({
      kind: 'not-found',
      message: `Slurm's cluster ${settings.cluster} has no account ${account}`,
    });
  return [own, ...rows.filter((r) => r !== own)];
}

export const factOf = ({ partition: _, ...fact }: AccessRow): AccessFact => fact;

/** How slurmctld sees one QoS otherwise than slurmdbd; undefined where it agrees, as far as it can be asked. Throws `unavailable`. */
export async function disagreement(
  settings: PolicySettings,
  tier: string,
  rows: readonly AccessRow[],
): Promise<string | undefined> {
  const held = await controllerQos(settings, tier);
  if (held === undefined) return rows.some((r) => r.tiers.includes(tier)) ? `it does not know QoS ${tier}` : undefined;
  const asked = rows
    .filter((r) => r.user !== undefined && isUnixUser(r.user) && r.partition === '')
    .slice(0, MOST_ASKED);
  for (const { account, user = '', tiers } of asked) {
    const open = await mayUse(settings, { account, user, tier });
    if (open !== undefined && open !== tiers.includes(tier))
      return `for it QoS ${tier} is ${open ? 'still open' : 'not yet open'} to ${user} of ${account}`;
  }
  return undefined;
}
