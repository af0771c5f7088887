/**
 * Which limits a request is under, in the pipeline's order: its address (before anybody asked who it is; this replica's own buckets), then its
 * token and project, a slot among the requests in flight, and the environment once it is known. A token that comes from where it may not be
 * used is under a limit of its own instead, which no file changes. Rules: facility/limits.yaml. What each limit
 * has left is noted on the exchange for the RateLimit headers. Streaming nodes are not limited by caller: their requests are ours.
 */
import type { Clock } from '../clock.ts';
import type { Caller } from '../identity/index.ts';
import {
  type Leases,
  LIMIT_CLASSES,
  type LimitClass,
  type LimitRules,
  localBuckets,
  openSlots,
  projectRate,
  type Rate,
  type Slot,
  type Slots,
} from '../policy/index.ts';
import { Problem } from '../problems.ts';
import { addressKey } from './client-address.ts';
import { limitClassOf, type Operation } from './contract/index.ts';
import { type AppliedLimit, type NamedRate, namedRate } from './limit-headers.ts';

export interface RequestLimits {
  /** Throws `rate-limited`. `notes` gets what is left. */
  address(remoteAddress: string, notes?: AppliedLimit[]): void;
  /** Of a token that came from where it may not be used: a bucket of its own, so that a thief takes nothing from the token or its project. Throws `rate-limited`. */
  wrongSource(of: Pick<LimitedCall, 'caller' | 'limited'>): void;
  /** By token, and by project where the caller's token names it. Rejects with `rate-limited`. */
  caller(of: LimitedCall): void | Promise<void>;
  /** A slot among the requests in flight; undefined where none is needed. Throws `too-many-in-flight` where a cap is reached. */
  slot(of: LimitedCall): Slot | undefined;
  /** By environment, and by project for who acts on several. Rejects with `rate-limited`. */
  located(
    of: LimitedCall,
    resource: { readonly project?: string | null; readonly environment?: string | null },
  ): void | Promise<void>;
  /** Requests in flight; long polls are counted apart. */
  inFlight(): { readonly requests: number; readonly longPolls: number };
}

export interface LimitedCall {
  readonly caller: Caller;
  readonly operation: Operation;
  /** In the order applied; the answer's headers are made of them. */
  readonly limited: AppliedLimit[];
}

export interface RequestLimitsDeps {
  readonly rules: LimitRules;
  readonly leases: Leases;
  readonly clock: Clock;
}

/** Of one token, from all wrong addresses together, on one replica. */
const WRONG_SOURCE: Rate = { perSecond: 1, burst: 20 };

interface Applies {
  readonly key: string;
  readonly rate: Rate;
  readonly named: NamedRate;
  /** For the problem's detail. */
  readonly whose: string;
}

export function requestLimits({ rules, leases, clock }: RequestLimitsDeps): RequestLimits {
  const byAddress = localBuckets(rules.address, clock);
  const addressNamed = namedRate('address', rules.address);
  const byWrongSource = localBuckets(WRONG_SOURCE, clock);
  const wrongSourceNamed = namedRate('wrong-source', WRONG_SOURCE);
  const named = new Map<Rate, NamedRate>();
  const nameOf = (kind: string, limitClass: LimitClass, rate: Rate): NamedRate => {
    let known = named.get(rate);
    if (known === undefined) {
      known = namedRate(`${kind}-${limitClass}`, rate);
      named.set(rate, known);
    }
    return known;
  };
  const requests = openSlots(capsOf(rules.inFlight, rules.inFlight.waitMs), clock);
  // A long poll holds its slot for many seconds: waiting for one would be a longer poll.
  const longPolls = openSlots(capsOf(rules.longPolls, 0), clock);

  const byToken = (caller: Caller, limitClass: LimitClass): Applies => {
    const rate = rules.token[limitClass];
    return {
      key: `token/${caller.id}/${limitClass}`,
      rate,
      named: nameOf('token', limitClass, rate),
      whose: `${caller.kind} ${caller.id}`,
    };
  };
  const byProject = (project: string, limitClass: LimitClass): Applies => {
    const rate = projectRate(rules, project, limitClass);
    return {
      key: `project/${project}/${limitClass}`,
      rate,
      named: nameOf('project', limitClass, rate),
      whose: `project ${project}`,
    };
  };
  const byEnvironment = (environment: string, limitClass: LimitClass): Applies => {
    const rate = rules.environment[limitClass];
    return {
      key: `environment/${environment}/${limitClass}`,
      rate,
      named: nameOf('environment', limitClass, rate),
      whose: `environment ${environment}`,
    };
  };

  function take(limited: AppliedLimit[], limitClass: LimitClass, applies: readonly Applies[]): void | Promise<void> {
    if (applies.length === 0) return;
    const verdict = leases.take(applies);
    const settle = (came: Awaited<typeof verdict>): void => {
      if (came.kind === 'admitted') {
        for (const [i, { named: of }] of applies.entries()) limited.push({ of, left: came.left[i] ?? 0 });
        return;
      }
      const by = applies[came.by];
      if (by === undefined) throw new Error('a limit that was not asked for refuses');
      throw refusal(limited, by.named, { whose: by.whose, what: `${limitClass} requests`, waitMs: came.waitMs });
    };
    return verdict instanceof Promise ? verdict.then(settle) : settle(verdict);
  }

  return {
    address(remoteAddress, notes = []) {
      const key = addressKey(remoteAddress);
      const waitMs = byAddress.take(key);
      if (waitMs > 0) throw refusal(notes, addressNamed, { whose: `address ${key}`, what: 'requests', waitMs });
      notes.push({ of: addressNamed, left: byAddress.left(key) });
    },
    wrongSource({ caller, limited }) {
      const key = `wrong-source/${caller.id}`;
      const waitMs = byWrongSource.take(key);
      const whose = `${caller.kind} ${caller.id} from where it may not be used`;
      if (waitMs > 0) throw refusal(limited, wrongSourceNamed, { whose, what: 'requests', waitMs });
      limited.push({ of: wrongSourceNamed, left: byWrongSource.left(key) });
    },
    caller({ caller, operation, limited }) {
      if (!isLimited(caller)) return;
      const limitClass = classOf(operation);
      const token = byToken(caller, limitClass);
      const applies = caller.kind === 'token' ? [token, byProject(caller.project, limitClass)] : [token];
      return take(limited, limitClass, applies);
    },
    slot({ caller, operation }) {
      if (caller.kind === 'node' || caller.kind === 'system') return undefined;
      const slots = operation.longPoll ? longPolls : requests;
      return enter(slots, rules, { caller, operation });
    },
    located({ caller, operation, limited }, { project, environment }) {
      if (!isLimited(caller)) return;
      const limitClass = classOf(operation);
      const applies: Applies[] = [];
      if (caller.kind !== 'token' && typeof project === 'string') applies.push(byProject(project, limitClass));
      if (typeof environment === 'string') applies.push(byEnvironment(environment, limitClass));
      return take(limited, limitClass, applies);
    },
    inFlight: () => ({ requests: requests.inFlight(), longPolls: longPolls.inFlight() }),
  };
}

const isLimited = ({ kind }: Caller): boolean => kind === 'token' || kind === 'session';

const CLASSES: ReadonlySet<string> = new Set(LIMIT_CLASSES);

function classOf(operation: Operation): LimitClass {
  const limitClass: LimitClass = limitClassOf(operation);
  if (!CLASSES.has(limitClass)) throw new Error(`operation ${operation.id} has the unknown class ${limitClass}`);
  return limitClass;
}

function capsOf(caps: { readonly token: number; readonly project: number; readonly replica: number }, waitMs: number) {
  return { holder: caps.token, flow: caps.project, all: caps.replica, waitMs };
}

function enter(
  slots: Slots,
  rules: LimitRules,
  { caller, operation }: { readonly caller: Caller; readonly operation: Operation },
): Slot {
  const project = caller.kind === 'token' ? rules.projects[caller.project] : undefined;
  const slot = slots.enter({
    holder: caller.kind === 'anonymous' ? '' : caller.id,
    flow: flowOf(caller),
    flowCap: operation.longPoll ? project?.longPolls : project?.inFlight,
    weight: project?.weight,
  });
  if (!('refusedBy' in slot)) return slot;
  const what = operation.longPoll ? 'long polls' : 'requests';
  const whose = {
    holder: caller.kind === 'anonymous' ? 'Callers without a bearer' : `The ${caller.kind} ${caller.id}`,
    flow: caller.kind === 'token' ? `The project ${caller.project}` : flowOf(caller),
    all: 'This replica',
  }[slot.refusedBy];
  throw new Problem('too-many-in-flight', `${whose} may have ${slot.cap} ${what} in flight at once, and has.`, {
    retryAfterSeconds: 1,
  });
}

/** Who shares the slots fairly with others. */
function flowOf(caller: Caller): string {
  if (caller.kind === 'token') return `project/${caller.project}`;
  return caller.kind === 'anonymous' ? 'anonymous' : `${caller.kind}/${caller.subject}`;
}

function refusal(
  notes: AppliedLimit[],
  of: NamedRate,
  about: { readonly whose: string; readonly what: string; readonly waitMs: number },
): Problem {
  const retryAfterSeconds = Math.max(1, Math.ceil(about.waitMs / 1000));
  notes.push({ of, left: 0, refusedForSeconds: retryAfterSeconds });
  return new Problem('rate-limited', `More than ${of.perSecond} ${about.what} a second from ${about.whose}.`, {
    retryAfterSeconds,
  });
}
