/**
 * The agent's side of the second port: tiers (QoS), access and reservations. Acts run one after another, so that two grants to one account cannot meet; an operator's own edit
 * may still come between, and what it does to ours the next look finds. Owns only that line of waiting acts; the truth is Slurm's.
 */
import { type ActInput, type ActName, type ActOutput, SlurmFailure } from '../contract/index.ts';
import { access } from './access.ts';
import { endReservation } from './end-reservation.ts';
import { grant } from './grant.ts';
import { listTiers } from './list-tiers.ts';
import type { PolicySettings } from './policy-settings.ts';
import { removeTier } from './remove-tier.ts';
import { reserve } from './reserve.ts';
import { setTier } from './set-tier.ts';
import { withdraw } from './withdraw.ts';

export type PolicyAct =
  | 'tiers'
  | 'setTier'
  | 'removeTier'
  | 'access'
  | 'grant'
  | 'withdraw'
  | 'reserve'
  | 'endReservation';

/** Each throws SlurmFailure only; `unavailable` may be repeated, and what was half done is then finished. */
export type Policy = { readonly [A in PolicyAct]: (input: ActInput<A>) => Promise<ActOutput<A>> };

const MOST_WAITING = 64;

export function openPolicy(settings: PolicySettings): Policy {
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  const oneByOne =
    <A extends ActName>(act: (settings: PolicySettings, input: ActInput<A>) => Promise<ActOutput<A>>) =>
    async (input: ActInput<A>): Promise<ActOutput<A>> => {
      if (waiting >= MOST_WAITING)
        throw new SlurmFailure({ kind: 'unavailable', message: `${MOST_WAITING} changes of policy are waiting` });
      waiting += 1;
      const turn = last.then(() => act(settings, input));
      last = turn.catch(() => undefined);
      try {
        return await turn;
      } finally {
        waiting -= 1;
      }
    };
  return {
    // Reading waits for nobody.
    tiers: () => listTiers(settings),
    access: (input) => access(settings, input),
    setTier: oneByOne<'setTier'>(setTier),
    removeTier: oneByOne<'removeTier'>(removeTier),
    grant: oneByOne<'grant'>(grant),
    withdraw: oneByOne<'withdraw'>(withdraw),
    reserve: oneByOne<'reserve'>(reserve),
    endReservation: oneByOne<'endReservation'>(endReservation),
  };
}
