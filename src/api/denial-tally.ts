/**
 * Denials of callers we do not know are counted by operation, address and status and written once a minute: an attacker who sends
 * a million bad tokens must not be able to fill the audit log.
 */
import type { AuditEntry, AuditLog } from '../audit/index.ts';
import type { Clock } from '../clock.ts';
import { newId } from '../id.ts';

const EVERY_MS = 60_000;
const MOST_KEYS = 10_000;

export interface DenialTally {
  count(operation: string, address: string, status: number): void;
  /** Writes what was counted, keeps what could not be written and throws; at shutdown, and by tests. */
  flush(): Promise<void>;
  stop(): void;
}

export function openDenialTally(audit: AuditLog, clock: Clock): DenialTally {
  let counts = new Map<string, number>();
  let cancel = (): void => undefined;

  const add = (key: string, times: number): void => void counts.set(key, (counts.get(key) ?? 0) + times);
  const flush = async (): Promise<void> => {
    const tallied = counts;
    counts = new Map();
    const written = await Promise.allSettled(
      [...tallied].map(async ([key, times]) => {
        const [operation = '', address = '', status = '401'] = key.split('\n');
        const entry: AuditEntry = {
          at: new Date(clock.now()),
          requestId: newId('req'),
          phase: 'denied',
          callerKind: 'anonymous',
          callerId: 'anonymous',
          subject: 'anonymous',
          project: null,
          action: operation,
          resource: '',
          status: Number(status),
          detail: { from: address, times },
        };
        try {
          await audit.append(entry);
        } catch (cause) {
          add(key, times); // told with the next minute's
          throw cause;
        }
      }),
    );
    const failed = written.find((w) => w.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  };
  const arm = (): void => {
    cancel = clock.after(EVERY_MS, () => {
      flush().catch(() => undefined); // the log's own writer reports why
      arm();
    });
  };
  arm();
  return {
    count(operation, address, status) {
      const exact = `${operation}\n${address}\n${status}`;
      const key = counts.has(exact) || counts.size < MOST_KEYS ? exact : `${operation}\n(many)\n${status}`;
      add(key, 1);
    },
    flush,
    stop: () => cancel(),
  };
}
