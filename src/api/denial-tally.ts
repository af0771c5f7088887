/**
 * Denials that anybody can cause at will are counted by operation, address, status and caller and written once a minute: of callers we do not know, and of tokens
 * tried from where they may not be used. An attacker who sends a million must not be able to fill the audit log. State: what was counted, and how many of a token's
 * tries were recorded in full of late.
 */
import type { AuditEntry, AuditLog } from '../audit/index.ts';
import type { Clock } from '../clock.ts';
import { newId } from '../id.ts';
import { ANONYMOUS, type Caller } from '../identity/index.ts';
import { localBuckets } from '../policy/index.ts';

const EVERY_MS = 60_000;
const MOST_KEYS = 10_000;
/** Of one token, on this replica: so many at once, and then so many a minute. */
const IN_FULL = 5;
const MANY = '(many)';

export interface Denial {
  /** Id of the operation or page. */
  readonly operation: string;
  readonly address: string;
  readonly status: number;
  /** Default: nobody we know. */
  readonly caller?: Caller;
}

export interface DenialTally {
  count(denial: Denial): void;
  /** Whether one more try of this token from a wrong address is to be recorded by itself; where not, it is counted. */
  mayRecord(tokenId: string): boolean;
  /** Writes what was counted, keeps what could not be written and throws; at shutdown, and by tests. */
  flush(): Promise<void>;
  stop(): void;
}

/** What the record says of a denial. */
type Told = Pick<AuditEntry, 'callerKind' | 'callerId' | 'subject' | 'project' | 'action' | 'status'> & {
  readonly from: string;
};

interface Counted {
  readonly told: Told;
  readonly times: number;
}

export function openDenialTally(audit: AuditLog, clock: Clock): DenialTally {
  const inFull = localBuckets({ perSecond: IN_FULL / 60, burst: IN_FULL }, clock);
  let counts = new Map<string, Counted>();
  let cancel = (): void => undefined;

  const add = (told: Told, times: number): void => {
    const key = keyOf(told);
    counts.set(key, { told, times: times + (counts.get(key)?.times ?? 0) });
  };
  const flush = async (): Promise<void> => {
    const tallied = counts;
    counts = new Map();
    const written = await Promise.allSettled(
      [...tallied.values()].map(async ({ told, times }) => {
        const { from, ...of } = told;
        const entry: AuditEntry = {
          ...of,
          at: new Date(clock.now()),
          requestId: newId('req'),
          phase: 'denied',
          resource: '',
          detail: { from, times },
        };
        try {
          await audit.append(entry);
        } catch (cause) {
          add(told, times); // told with the next minute's
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
    count(denial) {
      const exact = toldOf(denial);
      const hasRoom = counts.has(keyOf(exact)) || counts.size < MOST_KEYS;
      add(hasRoom ? exact : amongMany(exact), 1);
    },
    mayRecord: (tokenId) => inFull.take(tokenId) === 0,
    flush,
    stop: () => cancel(),
  };
}

function toldOf({ operation, address, status, caller = ANONYMOUS }: Denial): Told {
  return {
    callerKind: caller.kind,
    callerId: caller.id,
    subject: caller.subject,
    project: caller.kind === 'token' ? caller.project : null,
    action: operation,
    status,
    from: address,
  };
}

/** Beyond the cap one kind of caller is counted together: keys that grow with the number of tokens would be no cap. */
function amongMany(told: Told): Told {
  const whose = told.callerKind === ANONYMOUS.kind ? {} : { callerId: MANY, subject: MANY, project: null };
  return { ...told, ...whose, from: MANY };
}

/** Subject and project are the caller's, and say nothing more. */
function keyOf({ action, from, status, callerKind, callerId }: Told): string {
  return `${action}\n${from}\n${status}\n${callerKind}\n${callerId}`;
}
