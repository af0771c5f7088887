/**
 * Level-triggered change: look; if it is as wanted, write nothing; else push and look until both slurmdbd and slurmctld have it, at most 10 s. A push is repeated while it
 * has not arrived, which is what makes slurmdbd tell slurmctld again. An interrupted change is finished by asking for it again.
 */
import { SlurmFailure } from '../contract/index.ts';
import type { PolicySettings } from './policy-settings.ts';

export type Look<T> = { readonly settled: T } | { readonly lags: 'slurmdbd' | 'slurmctld'; readonly why: string };

const PATIENCE_MS = 10_000;
const LOOK_EVERY_MS = 200;
const PUSH_EVERY_MS = 2500;

/** `push` returns what Slurm complained of, if it did. Throws that where it is no fault of the moment, else `unavailable` that says which daemon lags. */
export async function converge<T>(
  settings: PolicySettings,
  act: { readonly look: () => Promise<Look<T>>; readonly push: () => Promise<SlurmFailure | undefined> },
): Promise<T> {
  const { clock } = settings;
  const first = await act.look();
  if ('settled' in first) return first.settled;
  const until = clock.monotonic() + PATIENCE_MS;
  let nextPush = clock.monotonic();
  let fault: SlurmFailure | undefined;
  let last: Look<T> | SlurmFailure = first;
  for (;;) {
    if (clock.monotonic() >= nextPush) {
      fault = await act.push();
      nextPush = clock.monotonic() + PUSH_EVERY_MS;
    }
    last = await act.look().catch(onlyUnavailable);
    if (!(last instanceof SlurmFailure) && 'settled' in last) return last.settled;
    if (fault !== undefined && fault.kind !== 'unavailable') throw fault;
    if (clock.monotonic() >= until) break;
    await new Promise<void>((resolve) => clock.after(LOOK_EVERY_MS, resolve));
  }
  const why = last instanceof SlurmFailure ? last.message : `${last.lags} lags: ${last.why}`;
  throw new SlurmFailure({
    kind: 'unavailable',
    message: `not in force after ${PATIENCE_MS / 1000} s: ${why}${fault === undefined ? '' : ` (${fault.message})`}`,
  });
}

function onlyUnavailable(cause: unknown): SlurmFailure {
  if (cause instanceof SlurmFailure && cause.kind === 'unavailable') return cause;
  throw cause;
}
