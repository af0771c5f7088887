/**
 * A short-lived credential for one role of a stream. The password is returned once; only its digest goes to the node. Waits up to two
 * seconds for the node to have it, so that a client may connect as soon as it holds the answer.
 */
import { createHash } from 'node:crypto';
import { transaction } from '../database/index.ts';
import { newId, randomText } from '../id.ts';
import { type Caller, holdToken } from '../identity/index.ts';
import { Problem } from '../problems.ts';
import type { StreamingDeps } from './deps.ts';
import { insertCredential } from './secret-store.ts';
import { moveVersion, nodeRow, streamById } from './store.ts';
import type { Credential, Stream, StreamRole } from './stream.ts';

const APPLIED_WITHIN_MS = 2000;
/** 32 characters of 5 bits: 160 random bits, well inside PLAIN's 255 bytes and AMQP's frame limit. */
const PASSWORD_CHARACTERS = 32;

export interface IssuedCredential {
  readonly credential: Credential;
  readonly stream: Stream;
  readonly password: string;
  readonly endpoint: string;
  readonly active: boolean;
}

export interface CredentialInput {
  readonly stream: string;
  readonly role: StreamRole;
  readonly lifetimeSeconds?: number | undefined;
  readonly signal: AbortSignal;
}

/** Throws `not-found`, `conflict` while the stream is not ready, `parameter-out-of-bounds`. */
export async function issueCredential(
  deps: StreamingDeps,
  caller: Caller,
  input: CredentialInput,
): Promise<IssuedCredential> {
  const password = randomText(PASSWORD_CHARACTERS);
  const { credential, stream, version } = await transaction(deps.db, async (trx) => {
    // Another replica may believe a bearer a moment after its revocation. Held to the end: a revocation comes before, and is seen here, or after, and
    // then finds the credential and voids it.
    if ((await holdToken(trx, caller.id))?.revokedAt)
      throw new Problem('token-revoked', `Token ${caller.id} was revoked.`);
    const stream = await streamById(trx, input.stream);
    if (stream === undefined) throw new Problem('not-found', `No stream ${input.stream}.`);
    if (stream.releaseRequestedAt !== null)
      throw new Problem('conflict', `Stream ${stream.id} is released: ${stream.releaseReason}.`);
    if (stream.lease.draining === true && input.role === 'producer')
      throw new Problem('conflict', `Stream ${stream.id} is draining: it takes no producers any more.`);
    if (stream.observed?.state !== 'ready')
      throw new Problem('conflict', `Stream ${stream.id} is not ready yet.`, { retryAfterSeconds: 1 });
    if (stream.lease.admission === 'address') {
      throw new Problem(
        'conflict',
        `Stream ${stream.id} admits by address: connect without user name and password from a listed address.`,
      );
    }
    const longest = stream.lease.credentialLifetimeSeconds;
    const seconds = input.lifetimeSeconds ?? longest;
    if (seconds > longest) {
      throw new Problem('parameter-out-of-bounds', `At most ${longest} s.`, {
        errors: [{ pointer: '#/lifetimeSeconds', detail: `at most ${longest}` }],
      });
    }
    const id = newId('crd');
    const credential: Credential = {
      id,
      stream: stream.id,
      role: input.role,
      username: id,
      passwordDigest: createHash('sha256').update(password).digest('hex'),
      issuedTo: caller.id,
      expiresAt: new Date(Math.min(deps.clock.now() + seconds * 1000, stream.expiresAt.getTime())),
      revokedAt: null,
    };
    await insertCredential(trx, credential);
    return { credential, stream, version: await moveVersion(trx, stream.node) };
  });
  deps.waiters.wake(stream.node);
  return {
    credential,
    stream,
    password,
    endpoint: stream.observed?.endpoints[input.role] ?? '',
    active: await applied(deps, stream.node, { version, signal: input.signal }),
  };
}

async function applied(
  deps: StreamingDeps,
  node: string,
  want: { readonly version: number; readonly signal: AbortSignal },
): Promise<boolean> {
  const until = deps.clock.monotonic() + APPLIED_WITHIN_MS;
  for (;;) {
    const row = await nodeRow(deps.db, node);
    if (row !== undefined && row.applied_version >= want.version) return true;
    const rest = until - deps.clock.monotonic();
    if (rest <= 0 || want.signal.aborted) return false;
    await deps.waiters.wait(`applied:${node}`, Math.min(rest, 250), want.signal);
  }
}
