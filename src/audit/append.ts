/**
 * The writer of the audit log: records that arrive together are committed together (group commit), one batch in flight. `append`
 * resolves when its record is durable and rejects when it is not: the pipeline then refuses the mutation.
 */
import type { Queries } from '../database/index.ts';
import { batchAppender } from './append-store.ts';
import { type AuditEntry, type StorableEntry, storable } from './record.ts';

/** Enough that the commit is a small part of a batch's cost, few enough that a batch takes some tens of milliseconds. */
const BATCH_RECORDS = 2000;

export interface AuditLog {
  append(entry: AuditEntry): Promise<void>;
  /** Resolves when all that was given so far is written or refused. */
  flush(): Promise<void>;
}

interface Waiting {
  readonly entry: StorableEntry;
  readonly resolve: () => void;
  readonly reject: (cause: unknown) => void;
}

export function openAuditLog(db: Queries): AuditLog {
  const append = batchAppender(db);
  const waiting: Waiting[] = [];
  let writing: Promise<void> | undefined;

  const write = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting.splice(0, BATCH_RECORDS);
      try {
        await append(batch.map((w) => w.entry));
        for (const w of batch) w.resolve();
      } catch (cause) {
        for (const w of batch) w.reject(cause);
      }
    }
  };
  const start = (): void => {
    writing ??= write().finally(() => {
      writing = undefined;
      if (waiting.length > 0) start();
    });
  };
  return {
    append(entry) {
      return new Promise((resolve, reject) => {
        // Throws, and so rejects, for this one alone: its neighbours in the batch are others' requests.
        waiting.push({ entry: storable(entry), resolve, reject });
        start();
      });
    },
    async flush() {
      while (writing !== undefined) await writing;
    },
  };
}
