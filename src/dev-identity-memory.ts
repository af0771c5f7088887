/** What the development identity provider remembers (its own adapter port): in memory, bounded by expiry, gone with the process. */
import type { Adapter, AdapterFactory, AdapterPayload } from 'oidc-provider';
import { systemClock } from './clock.ts';

interface Entry {
  payload: AdapterPayload;
  readonly expiresAtMs: number;
}

const MOST_ENTRIES = 10_000;

export function memoryAdapter(): AdapterFactory {
  const entries = new Map<string, Entry>();
  const live = (key: string): AdapterPayload | undefined => {
    const entry = entries.get(key);
    if (entry === undefined || entry.expiresAtMs > systemClock.now()) return entry?.payload;
    entries.delete(key);
    return undefined;
  };
  const find = (model: string, holds: (payload: AdapterPayload) => boolean): AdapterPayload | undefined => {
    for (const key of entries.keys()) {
      const payload = key.startsWith(`${model} `) ? live(key) : undefined;
      if (payload !== undefined && holds(payload)) return payload;
    }
    return undefined;
  };
  const sweep = (): void => {
    if (entries.size < MOST_ENTRIES) return;
    for (const key of entries.keys()) live(key);
    for (const key of [...entries.keys()].slice(0, Math.max(0, entries.size - MOST_ENTRIES))) entries.delete(key);
  };
  return (model): Adapter => ({
    async upsert(id, payload, expiresInSeconds) {
      sweep();
      const life = expiresInSeconds === undefined ? Number.POSITIVE_INFINITY : expiresInSeconds * 1000;
      entries.set(`${model} ${id}`, { payload, expiresAtMs: systemClock.now() + life });
    },
    find: async (id) => live(`${model} ${id}`),
    findByUid: async (uid) => find(model, (payload) => payload.uid === uid),
    findByUserCode: async (code) => find(model, (payload) => payload.userCode === code),
    async consume(id) {
      const payload = live(`${model} ${id}`);
      if (payload !== undefined) payload.consumed = Math.floor(systemClock.now() / 1000);
    },
    destroy: async (id) => void entries.delete(`${model} ${id}`),
    async revokeByGrantId(grantId) {
      for (const [key, { payload }] of entries) if (payload.grantId === grantId) entries.delete(key);
    },
  });
}
