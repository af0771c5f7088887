/** Act `tiers`: every QoS, the site's too, as slurmdbd keeps them. */
import type { ActOutput } from '../contract/index.ts';
import { listTiersOf } from './database.ts';
import type { PolicySettings } from './policy-settings.ts';

export async function listTiers(settings: PolicySettings): Promise<ActOutput<'tiers'>> {
  return { tiers: await listTiersOf(settings) };
}
