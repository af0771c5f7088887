/**
 * A job's claims on its streams (architecture.md 3b): secrets that its runner exchanges at the data streaming node, once an attempt, for
 * a credential of its own. Made anew each time a job is handed to its scheduler; the earlier ones are then void.
 */
import { createHash } from 'node:crypto';
import { transaction } from '../database/index.ts';
import { newId, randomText } from '../id.ts';
import { holdToken } from '../identity/index.ts';
import { type FieldError, Problem } from '../problems.ts';
import type { StreamingDeps } from './deps.ts';
import { replaceClaims } from './secret-store.ts';
import { moveVersion, nodeRow, streamById } from './store.ts';
import type { Claim, Stream, StreamRole } from './stream.ts';

export interface StreamAttachment {
  readonly stream: string;
  readonly name: string;
  readonly role: StreamRole;
}

/** What a job's runner needs to obtain its credential. */
export interface ClaimTicket {
  readonly stream: string;
  readonly url: string;
  readonly secret: string;
}

interface JobFacts {
  readonly id: string;
  readonly project: string;
  readonly environment: string;
  readonly issuedTo: string;
  readonly streams: readonly StreamAttachment[];
}

/** Says before a job is accepted whether its streams exist, are its project's and environment's, and have the role. */
export async function checkAttachments(deps: StreamingDeps, job: Omit<JobFacts, 'id' | 'issuedTo'>): Promise<void> {
  const errors: FieldError[] = [];
  for (const [i, attachment] of job.streams.entries()) {
    const stream = await streamById(deps.db, attachment.stream);
    const pointer = `#/streams/${i}/stream`;
    if (stream === undefined || stream.project !== job.project)
      errors.push({ pointer, detail: `no stream ${attachment.stream}` });
    else if (stream.environment !== job.environment)
      errors.push({
        pointer,
        detail: `stream ${stream.id} is in ${stream.environment}, the job in ${job.environment}`,
      });
    else if (stream.releaseRequestedAt !== null) errors.push({ pointer, detail: `stream ${stream.id} is released` });
    else if (stream.lease.admission === 'address')
      errors.push({
        pointer,
        detail: `stream ${stream.id} admits by address; a job needs one that admits by credential`,
      });
  }
  if (errors.length > 0)
    throw new Problem('invalid-request', 'The job cannot be attached to these streams.', { errors });
}

export async function claimStreams(deps: StreamingDeps, job: JobFacts): Promise<readonly ClaimTicket[]> {
  if (job.streams.length === 0) return [];
  const { tickets, nodes } = await transaction(deps.db, async (trx) => {
    const tickets: ClaimTicket[] = [];
    const claims: Claim[] = [];
    const nodes = new Set<string>();
    // A job may be handed over long after it was accepted: a bearer revoked since then gets claims that are void from the start.
    // Held, so that one revoked from here on finds the claims.
    const revokedAt = (await holdToken(trx, job.issuedTo))?.revokedAt ?? null;
    for (const attachment of job.streams) {
      const stream = await streamById(trx, attachment.stream);
      if (stream === undefined) continue; // checked before; a stream row is never deleted
      if (stream.releaseRequestedAt !== null)
        throw new Problem('conflict', `Stream ${stream.id} was released: ${stream.releaseReason}.`);
      const url = (await nodeRow(trx, stream.node))?.claim_url;
      if (url === null || url === undefined)
        throw new Problem('unavailable', `Node ${stream.node} has not linked yet.`, { retryAfterSeconds: 1 });
      const secret = randomText(52);
      claims.push(claimOf(job, { stream, attachment, secret, revokedAt }));
      tickets.push({ stream: attachment.name, url, secret });
      nodes.add(stream.node);
    }
    await replaceClaims(trx, job.id, claims);
    for (const node of nodes) await moveVersion(trx, node);
    return { tickets, nodes };
  });
  for (const node of nodes) deps.waiters.wake(node);
  return tickets;
}

function claimOf(
  job: JobFacts,
  facts: {
    readonly stream: Stream;
    readonly attachment: StreamAttachment;
    readonly secret: string;
    readonly revokedAt: Date | null;
  },
): Claim {
  return {
    id: newId('clm'),
    stream: facts.stream.id,
    role: facts.attachment.role,
    job: job.id,
    secretDigest: createHash('sha256').update(facts.secret).digest('hex'),
    issuedTo: job.issuedTo,
    expiresAt: facts.stream.expiresAt,
    revokedAt: facts.revokedAt,
  };
}

/** When a job has ended its claims are void, and what it still holds open is cut. */
export async function releaseClaims(deps: StreamingDeps, job: string, streams: readonly string[]): Promise<void> {
  if (streams.length === 0) return;
  const nodes = await transaction(deps.db, async (trx) => {
    await replaceClaims(trx, job, []);
    const those = new Set<string>();
    for (const id of streams) {
      const stream = await streamById(trx, id);
      if (stream !== undefined && stream.releasedAt === null) those.add(stream.node);
    }
    for (const node of those) await moveVersion(trx, node);
    return those;
  });
  for (const node of nodes) deps.waiters.wake(node);
}
