/**
 * What using a token costs and tells: a bounded one loses a use per request (one atomic UPDATE; an unbounded one costs nothing), and use outside of its stated
 * purpose is flagged on the token, written at most once a minute for each. State: the flags not written yet.
 */
import type { Clock } from '../clock.ts';
import type { Queries } from '../database/index.ts';
import { Problem } from '../problems.ts';
import type { Caller } from './caller.ts';
import { tokenById } from './store.ts';
import { isOutsidePurpose, type TokenRules } from './token-rules.ts';
import { addFlag, takeUse } from './token-use-store.ts';

const WRITE_EVERY_MS = 60_000;
/** What a token may always do, used up or not: look at itself, end itself, and change over to another value. */
const FREE = new Set(['self:read', 'self:revoke', 'self:renew', 'self:rotate']);

export interface TokenUse {
  /** Takes one use of a bounded token. Throws `token-used-up`, or `token-revoked` where it was revoked meanwhile. */
  spend(caller: Caller, action: string): Promise<void>;
  /** True where the action is outside of what the token was asked for; counts it. */
  flag(caller: Caller, action: string): boolean;
  /** Writes what is not written yet. */
  stop(): Promise<void>;
}

export interface TokenUseDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly rules: TokenRules;
  readonly log: { warn(fields: object, text: string): void };
}

interface Pending {
  action: string;
  at: Date;
  times: number;
}

export function openTokenUse(deps: TokenUseDeps): TokenUse {
  const pending = new Map<string, Pending>();
  /** Of tokens flagged within the last minute: ends the wait for the next writing. */
  const waits = new Map<string, () => void>();
  const writing = new Set<Promise<void>>();

  const write = (token: string): void => {
    const flag = pending.get(token);
    if (flag === undefined) {
      waits.delete(token);
      return;
    }
    pending.delete(token);
    waits.set(
      token,
      deps.clock.after(WRITE_EVERY_MS, () => write(token)),
    );
    const written = addFlag(deps.db, token, flag)
      .catch((cause: unknown) => deps.log.warn({ err: cause, token }, 'a flag could not be written on its token'))
      .finally(() => writing.delete(written));
    writing.add(written);
  };

  return {
    async spend(caller, action) {
      if (caller.kind !== 'token' || caller.bounded !== true || FREE.has(action)) return;
      if (await takeUse(deps.db, caller.id)) return;
      const token = await tokenById(deps.db, caller.id);
      if (token?.revokedAt) throw new Problem('token-revoked', `Token ${caller.id} was revoked.`);
      throw new Problem(
        'token-used-up',
        `Token ${caller.id} has no use left of the ${token?.maxUses ?? 0} that it had.`,
      );
    },
    flag(caller, action) {
      if (!isOutsidePurpose(deps.rules, caller, action)) return false;
      const times = (pending.get(caller.id)?.times ?? 0) + 1;
      pending.set(caller.id, { action, at: new Date(deps.clock.now()), times });
      if (!waits.has(caller.id)) write(caller.id);
      return true;
    },
    async stop() {
      for (const cancel of waits.values()) cancel();
      for (const token of [...pending.keys()]) {
        write(token);
        waits.get(token)?.();
      }
      waits.clear();
      await Promise.all(writing);
    },
  };
}
