/** For tests: a person's session on a database, the parts that second factors need, on a clock that the test winds; and TOTP codes from an HMAC of our own, by RFC 6238. */
import { createHmac, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openAuditLog } from '../../audit/index.ts';
import { type HandWoundClock, handWoundClock, systemClock } from '../../clock.ts';
import type { Queries } from '../../database/index.ts';
import { newId } from '../../id.ts';
import type { SessionCaller } from '../caller.ts';
import { issue } from '../issue-token.ts';
import { callerOf, PLAIN_TOKEN } from '../token.ts';
import type { FactorCall, FactorDeps } from './factor.ts';
import { type FactorKeys, readFactorKeys } from './factor-keys.ts';

const DIGITS = 1_000_000;
const SECRET_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** RFC 4226 section 5.3 over the time step of RFC 6238; shares no line with the product. */
export function totpCode(secretBase32: string, atMs: number, stepsAway = 0): string {
  const bits = [...secretBase32].map((c) => SECRET_LETTERS.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((octet) => Number.parseInt(octet, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(atMs / 30_000) + stepsAway));
  const mac = createHmac('sha1', key).update(counter).digest();
  const offset = (mac[19] ?? 0) & 15;
  return String((mac.readUInt32BE(offset) & 0x7fffffff) % DIGITS).padStart(6, '0');
}

/** A code that is none of the three that would be accepted. */
export function wrongCode(secretBase32: string, atMs: number): string {
  const right = new Set([-1, 0, 1].map((step) => totpCode(secretBase32, atMs, step)));
  for (let n = 0; ; n++) {
    const code = String(n).padStart(6, '0');
    if (!right.has(code)) return code;
  }
}

export interface FactorWorld {
  readonly clock: HandWoundClock;
  readonly deps: FactorDeps;
  /** A session that signs in now. */
  signIn(subject: string): Promise<FactorCall>;
}

/** Two of one database, with the same keys and clock, are two replicas. */
export function factorWorld(
  db: Queries,
  given: { readonly keys?: FactorKeys; readonly clock?: HandWoundClock } = {},
): FactorWorld {
  const clock = given.clock ?? handWoundClock(systemClock.now());
  const deps: FactorDeps = {
    db,
    clock,
    audit: openAuditLog(db),
    keys: given.keys ?? throwawayKeys(),
    verifier: { refresh: () => Promise.resolve() },
  };
  return {
    clock,
    deps,
    async signIn(subject) {
      const now = clock.now();
      const { token } = await issue({ db, clock }, 'session', {
        ...PLAIN_TOKEN,
        methods: ['oidc'],
        subject,
        description: '',
        parent: null,
        depth: 0,
        project: null,
        enclave: null,
        environments: [],
        scopes: [],
        roles: ['member'],
        createdBy: 'test',
        notBefore: new Date(now),
        expiresAt: new Date(now + 8 * 3_600_000),
      });
      return { session: callerOf(token) as SessionCaller, requestId: newId('req'), remoteAddress: '127.0.0.1' };
    },
  };
}

function throwawayKeys(): FactorKeys {
  const folder = mkdtempSync(join(tmpdir(), 'beamway-keys-'));
  try {
    return readFactorKeys(join(folder, 'factor-keys.json'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export function newSubject(): string {
  return `person-${randomBytes(6).toString('hex')}`;
}
