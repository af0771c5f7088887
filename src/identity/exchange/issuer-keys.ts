/**
 * The public keys of trusted issuers, in memory. Read at the first use, anew after five minutes or for a key id not seen yet, at most once in ten seconds for
 * each issuer whoever asks. While an issuer does not answer its last keys hold for an hour; then whatever it signed is refused.
 */
import { readFile } from 'node:fs/promises';
import { createLocalJWKSet, type JSONWebKeySet } from 'jose';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { Problem } from '../../problems.ts';
import type { TrustedIssuer } from './federation.ts';

const FRESH_MS = 300_000;
const TRY_EVERY_MS = 10_000;
const STALE_MS = 3_600_000;
const ANSWER_WITHIN_MS = 5000;
const MOST_BYTES = 65_536;
const MOST_KEYS = 50;

export type KeySet = ReturnType<typeof createLocalJWKSet>;

export interface IssuerKeys {
  /** Keys to check a token with, which names `kid`. Throws `unavailable`. */
  of(issuer: TrustedIssuer, kid: string | undefined): Promise<KeySet>;
}

interface Held {
  readonly set: KeySet;
  readonly kids: ReadonlySet<string>;
  readonly readAtMs: number;
}

const keySetSchema = z.object({
  keys: z.array(z.object({ kty: z.string(), kid: z.string().optional() }).loose()).max(MOST_KEYS),
});

export function openIssuerKeys(deps: {
  readonly clock: Clock;
  readonly log: { warn(fields: object, text: string): void };
}): IssuerKeys {
  const held = new Map<string, Held>();
  const triedAtMs = new Map<string, number>();
  const reading = new Map<string, Promise<void>>();

  const read = async (issuer: TrustedIssuer): Promise<void> => {
    const askedAtMs = deps.clock.monotonic();
    triedAtMs.set(issuer.issuer, askedAtMs);
    try {
      held.set(issuer.issuer, { ...parseKeySet(await textOf(issuer)), readAtMs: askedAtMs });
    } catch (cause) {
      deps.log.warn({ err: cause, issuer: issuer.issuer }, 'the keys of a trusted issuer could not be read');
    }
  };
  const refresh = (issuer: TrustedIssuer): Promise<void> => {
    const running = reading.get(issuer.issuer) ?? read(issuer).finally(() => reading.delete(issuer.issuer));
    reading.set(issuer.issuer, running);
    return running;
  };
  return {
    async of(issuer, kid) {
      const now = deps.clock.monotonic();
      const before = held.get(issuer.issuer);
      const isKnown = before !== undefined && (kid === undefined || before.kids.has(kid));
      const isFresh = isKnown && now - before.readAtMs < FRESH_MS;
      const triedLately = now - (triedAtMs.get(issuer.issuer) ?? -Infinity) < TRY_EVERY_MS;
      if (!isFresh && (!triedLately || reading.has(issuer.issuer))) await refresh(issuer);
      const after = held.get(issuer.issuer);
      if (after === undefined || deps.clock.monotonic() - after.readAtMs > STALE_MS)
        throw new Problem('unavailable', `The keys of the issuer ${issuer.name} cannot be read now.`, {
          retryAfterSeconds: TRY_EVERY_MS / 1000,
        });
      return after.set;
    },
  };
}

/** Public signing keys only: a shared secret or a private key in there is no key to believe. Throws where it is no key set. */
export function parseKeySet(text: string): { readonly set: KeySet; readonly kids: ReadonlySet<string> } {
  const parsed = keySetSchema.parse(JSON.parse(text));
  const keys = parsed.keys.filter((key) => ['OKP', 'EC', 'RSA'].includes(key.kty) && !('d' in key) && !('k' in key));
  if (keys.length === 0) throw new Error('the key set holds no public signing key');
  const kids = new Set(keys.flatMap((key) => key.kid ?? []));
  return { set: createLocalJWKSet({ keys } as JSONWebKeySet), kids };
}

async function textOf(issuer: TrustedIssuer): Promise<string> {
  if (issuer.jwksFile !== undefined) return readFile(issuer.jwksFile, 'utf8');
  const answer = await fetch(issuer.jwksUri ?? '', {
    headers: { accept: 'application/jwk-set+json, application/json' },
    // A redirect could lead to whoever the issuer's own web pages let write one.
    redirect: 'error',
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  if (!answer.ok) {
    await answer.body?.cancel();
    throw new Error(`the issuer's keys were answered with ${answer.status}`);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MOST_BYTES) throw new Error(`the issuer's keys are more than ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
