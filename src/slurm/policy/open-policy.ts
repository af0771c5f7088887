/**
 * The policy acts of the agent: QoS, who may use them, reservations. Only what is ours (by prefix) is ever changed; others' entries of a list are left as they are, and
 * what was asked is read back. One change at a time: two lists written at once would lose one. Second port of RFD 4.
 */
import type { AccessFact, ActInput, ActOutput } from '../contract/index.ts';
import { SlurmFailure } from '../contract/index.ts';
import { accessChange } from './access-change.ts';
import { controllerLags, controllerQos, jobsWith } from './controller.ts';
import { converge } from './converge.ts';
import { changeDatabase, holdersOf, listAccessOf, listTiersOf } from './database.ts';
import { mappedAccount, ownName, type PolicyParts } from './policy-settings.ts';
import { endReservation, reserve } from './reserve.ts';
import { checkTier, controllerHas, tierChange, tierIs } from './tier-change.ts';

export function openPolicy(settings: PolicyParts) {
  let turn: Promise<unknown> = Promise.resolve();
  const alone = <T>(act: () => Promise<T>): Promise<T> => {
    const mine = turn.then(act, act);
    turn = mine.catch(() => undefined);
    return mine;
  };
  const accessOf = async (project: string): Promise<AccessFact[]> =>
    (await listAccessOf(settings, mappedAccount(settings, project))).map(
      ({ account, user, tiers, defaultTier }): AccessFact => ({
        account,
        tiers,
        ...(user === undefined ? {} : { user }),
        ...(defaultTier === undefined ? {} : { defaultTier }),
      }),
    );
  const setAccess = (project: string, tier: string, wanted: boolean) =>
    alone(async () => {
      const account = mappedAccount(settings, project);
      ownName(settings, tier, 'QoS');
      await converge(settings, {
        async look() {
          const rows = await listAccessOf(settings, account);
          if (!rows.some((r) => r.user === undefined))
            throw new SlurmFailure({ kind: 'refused', message: `account ${account} is not in Slurm` });
          const [wrong] = accessChange(settings, rows, { tier, wanted });
          if (wrong !== undefined)
            return { lags: 'slurmdbd' as const, why: `${account}: ${wrong.join(' ')} has not been done` };
          const why = await controllerLags(settings);
          return why === undefined ? { settled: undefined } : { lags: 'slurmctld' as const, why };
        },
        push: async () =>
          changeDatabase(settings, accessChange(settings, await listAccessOf(settings, account), { tier, wanted })),
      });
      return { access: await accessOf(project) };
    });
  return {
    tiers: async () => ({ tiers: await listTiersOf(settings) }),
    setTier: ({ tier }: ActInput<'setTier'>): Promise<ActOutput<'setTier'>> =>
      alone(async () => {
        ownName(settings, tier.name, 'QoS');
        checkTier(settings, tier, await listTiersOf(settings));
        const settled = await converge(settings, {
          async look() {
            const now = (await listTiersOf(settings)).find((t) => t.name === tier.name);
            if (now === undefined || !tierIs(now, tier))
              return { lags: 'slurmdbd' as const, why: `QoS ${tier.name} is not as asked` };
            return controllerHas(await controllerQos(settings, tier.name), tier)
              ? { settled: now }
              : { lags: 'slurmctld' as const, why: `it does not hold QoS ${tier.name} as asked` };
          },
          async push() {
            const now = (await listTiersOf(settings)).find((t) => t.name === tier.name);
            return changeDatabase(settings, tierChange(now, tier));
          },
        });
        return { tier: settled };
      }),
    removeTier: ({ name }: ActInput<'removeTier'>) =>
      alone(async () => {
        ownName(settings, name, 'QoS');
        const [jobs, holders] = [await jobsWith(settings, name), await holdersOf(settings, name)];
        if (jobs.length > 0 || holders.length > 0)
          throw new SlurmFailure({
            kind: 'invalid',
            message: `QoS ${name} is in use: ${[...jobs.map((j) => `job ${j}`), ...holders].slice(0, 10).join(', ')}`,
          });
        await converge(settings, {
          async look() {
            const there = (await listTiersOf(settings)).some((t) => t.name === name);
            return there ? { lags: 'slurmdbd' as const, why: `QoS ${name} is still there` } : { settled: undefined };
          },
          push: () => changeDatabase(settings, [['delete', 'qos', name]]),
        });
        return {};
      }),
    access: async ({ project }: ActInput<'access'>) => ({ access: await accessOf(project) }),
    grant: ({ project, tier }: ActInput<'grant'>) => setAccess(project, tier, true),
    withdraw: ({ project, tier }: ActInput<'withdraw'>) => setAccess(project, tier, false),
    reserve: ({ reservation }: ActInput<'reserve'>) =>
      alone(async () => ({ reservation: await reserve(settings, reservation) })),
    endReservation: ({ name }: ActInput<'endReservation'>) =>
      alone(async () => {
        await endReservation(settings, name);
        return {};
      }),
  };
}
