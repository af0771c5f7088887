/**
 * Requests per second by address and by caller. In this process's memory; sharing between replicas comes with the identity issue.
 * Streaming nodes are not limited by caller: their requests are ours.
 */
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { Caller } from '../identity/index.ts';
import { Problem } from '../problems.ts';
import type { Operation } from './contract/index.ts';

export interface RequestLimits {
  address(remoteAddress: string): Promise<void>;
  caller(caller: Caller, operation: Operation): Promise<void>;
}

export interface LimitRates {
  readonly addressPerSecond: number;
  readonly readsPerSecond: number;
  readonly mutationsPerSecond: number;
}

/** Both throw `rate-limited` with Retry-After. */
export function requestLimits(rates: LimitRates): RequestLimits {
  const byAddress = new RateLimiterMemory({ points: rates.addressPerSecond, duration: 1 });
  const reads = new RateLimiterMemory({ points: rates.readsPerSecond, duration: 1 });
  const mutations = new RateLimiterMemory({ points: rates.mutationsPerSecond, duration: 1 });
  const take = async (limiter: RateLimiterMemory, key: string, whose: string): Promise<void> => {
    try {
      await limiter.consume(key);
    } catch (refusal) {
      if (!(refusal instanceof RateLimiterRes)) throw refusal;
      const retryAfterSeconds = Math.max(1, Math.ceil(refusal.msBeforeNext / 1000));
      throw new Problem('rate-limited', `More than ${limiter.points} requests a second from ${whose}.`, {
        retryAfterSeconds,
      });
    }
  };
  return {
    address: (remoteAddress) => take(byAddress, remoteAddress, 'this address'),
    async caller(caller, operation) {
      if (caller.kind === 'node' || caller.kind === 'anonymous') return;
      await take(operation.audit === 'mutation' ? mutations : reads, caller.id, `${caller.kind} ${caller.id}`);
    },
  };
}
