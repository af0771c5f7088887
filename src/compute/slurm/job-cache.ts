/**
 * This replica's copy of one agent's records, by key and by native id, kept by the agent's queue of changes (cursor = instance and version). Level-triggered: an agent
 * that does not know our cursor sends everything, and that replaces the copy. However many ask, one `changes` is under way and one waits.
 */
import type { JobRecord } from '../../slurm/contract/index.ts';
import type { AgentLink } from './agent-links.ts';

export interface JobCache {
  /** Resolves when the copy is as new as this call. Rejects with SlurmFailure. */
  refresh(): Promise<void>;
  /** Puts an answer about one job into the copy, unless the copy is newer. */
  take(record: JobRecord): void;
  byKey(key: string): JobRecord | undefined;
  /** More than one where Slurm gave a number twice: it forgets its last numbers when it dies without saving them. */
  byNativeId(nativeId: string): readonly JobRecord[];
  /** Oldest first. */
  all(): readonly JobRecord[];
  /** What changed since the cursor, or everything where it means nothing any more. */
  since(cursor: string | undefined): {
    readonly cursor: string;
    readonly complete: boolean;
    readonly jobs: readonly JobRecord[];
  };
}

const CHANGES_MS = 30_000;

export function jobCache(link: Pick<AgentLink, 'ask'>): JobCache {
  const records = new Map<string, JobRecord>();
  const numbers = new Map<string, Set<string>>();
  let instance: string | undefined;
  let version = 0;

  const put = (record: JobRecord): void => {
    const before = records.get(record.key);
    if (before !== undefined && before.nativeId !== record.nativeId) numbers.get(before.nativeId)?.delete(record.key);
    records.set(record.key, record);
    const keys = numbers.get(record.nativeId) ?? new Set();
    keys.add(record.key);
    numbers.set(record.nativeId, keys);
  };
  const take = (record: JobRecord): void => {
    const before = records.get(record.key);
    if (before === undefined || before.version <= record.version) put(record);
  };
  const ask = async (): Promise<void> => {
    const asked = instance === undefined ? { after: 0 } : { instance, after: version };
    const said = await link.ask('changes', asked, { timeoutMs: CHANGES_MS });
    if (said.complete || said.instance !== instance) {
      records.clear();
      numbers.clear();
      for (const record of said.jobs) put(record);
    } else for (const record of said.jobs) take(record);
    instance = said.instance;
    version = said.version;
  };

  let current: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const refresh = (): Promise<void> => {
    if (current === undefined) {
      current = ask().finally(() => {
        current = undefined;
      });
      return current;
    }
    // What is under way may have been answered before this call; it must not be what answers it.
    next ??= current
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return refresh();
      });
    return next;
  };

  return {
    refresh,
    take,
    byKey: (key) => records.get(key),
    byNativeId: (nativeId) => [...(numbers.get(nativeId) ?? [])].flatMap((key) => records.get(key) ?? []),
    all: () => [...records.values()].sort((a, b) => a.submittedAtMs - b.submittedAtMs || a.version - b.version),
    since(cursor) {
      const now = `${instance ?? ''}:${version}`;
      const [, known, after] = /^(.*):(\d{1,16})$/.exec(cursor ?? '') ?? [];
      const complete = known === undefined || known !== instance;
      const jobs = [...records.values()].filter((r) => complete || r.version > Number(after));
      return { cursor: now, complete, jobs };
    },
  };
}
