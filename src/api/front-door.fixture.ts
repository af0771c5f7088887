/**
 * Test fixture: the real HTTP server and the real pipeline, with fakes behind them: routes that do what a test says, a verifier that believes
 * the bearers it is told of, an audit log in memory that can be broken. No database.
 */
import { pino } from 'pino';
import type { AuditEntry } from '../audit/index.ts';
import { systemClock } from '../clock.ts';
import type { Queries } from '../database/index.ts';
import { type Caller, type TokenCaller, WrongSource } from '../identity/index.ts';
import { limitRulesSchema, loadPolicySet, memorySource, openLeases, openPolicy, scaleLimits } from '../policy/index.ts';
import { Problem } from '../problems.ts';
import { OPERATIONS, type OperationId } from './contract/index.ts';
import { type DenialTally, openDenialTally } from './denial-tally.ts';
import { type HttpServer, type HttpTimeouts, httpServer } from './http-server.ts';
import { type RequestLimits, requestLimits } from './limits.ts';
import type { Route, Routes } from './route.ts';

const EXAMPLE = new URL('../../facility', import.meta.url).pathname;

/** The example facility's own: parsed once for all doors of a file. */
const policy = openPolicy(loadPolicySet(EXAMPLE), { error: () => undefined });

export const FAKE_BEARER = 'a-bearer-the-fake-verifier-believes';
/** The same caller’s, sent from where it may not be used. */
export const BEARER_ELSEWHERE = 'a-bearer-that-is-not-for-this-address';
export const FAKE_CALLER: TokenCaller = {
  kind: 'token',
  id: 'tok_fake',
  subject: 'ada',
  project: 'demo',
  enclave: 'open',
  environments: ['ace'],
  scopes: ['job:read', 'job:submit', 'stream:read'],
  purpose: '',
  classification: 'public',
};

export interface FrontDoor {
  readonly server: HttpServer;
  readonly port: number;
  readonly url: string;
  readonly limits: RequestLimits;
  readonly denials: DenialTally;
  /** What was appended so far. */
  readonly records: AuditEntry[];
  /** How often the verifier was asked. */
  readonly verified: () => number;
  breakAudit(): void;
}

export interface FrontDoorOptions {
  readonly routes?: Partial<Record<OperationId, Route>>;
  readonly timeouts?: HttpTimeouts;
  /** As facility/limits.yaml, in memory. */
  readonly limits?: object;
  readonly trustedProxies?: readonly string[];
}

/** Throws at the first touch: what is tested here must not need one. */
const noDatabase = new Proxy(
  {},
  {
    get() {
      throw new Error('this front door has no database');
    },
  },
) as unknown as Queries;

export async function openFrontDoor(
  t: { after(action: () => Promise<void>): unknown },
  options: FrontDoorOptions = {},
): Promise<FrontDoor> {
  const records: AuditEntry[] = [];
  let verified = 0;
  let broken = false;
  const audit = {
    async append(entry: AuditEntry): Promise<void> {
      if (broken) throw new Error('the audit log is broken');
      records.push(entry);
    },
    async flush(): Promise<void> {},
  };
  const denials = openDenialTally(audit, systemClock);
  const verifier = {
    async verify(text: string, from?: { readonly address?: string }): Promise<Caller> {
      verified += 1;
      if (text === FAKE_BEARER) return FAKE_CALLER;
      if (text === BEARER_ELSEWHERE) throw new WrongSource(FAKE_CALLER, from?.address);
      throw new Problem('token-unknown', 'The fake verifier does not know this bearer.');
    },
    lockedDown: () => false,
    async refresh(): Promise<void> {},
    stop(): void {},
  };
  const unused: Route = { handle: () => ({}) };
  const routes = Object.fromEntries(
    Object.keys(OPERATIONS).map((id) => [id, options.routes?.[id as OperationId] ?? unused]),
  ) as unknown as Routes;
  const log = pino({ level: 'silent' });
  const rules =
    options.limits === undefined
      ? scaleLimits(limitRulesSchema.parse({}), 1000)
      : limitRulesSchema.parse(options.limits);
  const clock = systemClock;
  const leases = openLeases({ source: memorySource(() => clock.monotonic()), clock, log, shareWhenAway: 1 });
  const limits = requestLimits({ rules, leases, clock });
  const tokenUse = { spend: async () => undefined, flag: () => false, stop: async () => undefined };
  const deps = { db: noDatabase, clock: systemClock, verifier, tokenUse, policy, audit, limits, denials, log };
  const server = httpServer(
    {
      ...deps,
      ...(options.timeouts && { timeouts: options.timeouts }),
      ...(options.trustedProxies && { trustedProxies: options.trustedProxies }),
    },
    routes,
    log,
  );
  const url = await server.listen({ host: '127.0.0.1', port: 0 });
  let closed: Promise<void> | undefined;
  const once: HttpServer = {
    ...server,
    close() {
      closed ??= server.close();
      return closed;
    },
  };
  t.after(async () => {
    denials.stop();
    await once.close();
    await leases.close();
  });
  return {
    server: once,
    port: Number(new URL(url).port),
    url,
    limits,
    denials,
    records,
    verified: () => verified,
    breakAudit() {
      broken = true;
    },
  };
}
