/**
 * Exchanges a job's stream claims at the data streaming nodes (architecture.md 3b). A node may learn of a claim a moment
 * after the job starts, so 404, 5xx and a refused connection are tried again; any other answer is final.
 * Runs in the runner: node:http alone, loaded only for jobs that have claims. Secrets are in no message.
 */
import { request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { StreamClaim } from '../scheduler.ts';

const PATIENCE_MS = 30_000;
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1000;
const ANSWER_BYTES = 65_536;
const ANSWER_TIMEOUT_MS = 5000;

export interface Claimant {
  readonly job: string;
  readonly attempt: number;
  readonly stopped: AbortSignal;
}

export type Exchanged =
  | { readonly kind: 'attached'; readonly streams: Readonly<Record<string, unknown>> }
  | { readonly kind: 'refused'; readonly detail: string };

/** `read` is asked again before each try: a repeated submit may have renewed the claims, and the old ones are void then. */
export async function exchangeClaims(read: () => readonly StreamClaim[], claimant: Claimant): Promise<Exchanged> {
  const deadline = performance.now() + PATIENCE_MS;
  const claims = read();
  const newest = (claim: StreamClaim): StreamClaim => read().find((c) => c.stream === claim.stream) ?? claim;
  const answers = await Promise.all(claims.map((claim) => exchangeClaim(() => newest(claim), claimant, deadline)));
  const streams: Record<string, unknown> = {};
  for (const [i, answer] of answers.entries()) {
    const stream = claims[i]?.stream ?? '';
    if (answer.kind === 'refused') return { kind: 'refused', detail: `stream ${stream}: ${answer.detail}` };
    streams[stream] = answer.body;
  }
  return { kind: 'attached', streams };
}

type Answer =
  | { readonly kind: 'attached'; readonly body: unknown }
  | { readonly kind: 'refused'; readonly detail: string };

async function exchangeClaim(newest: () => StreamClaim, claimant: Claimant, deadline: number): Promise<Answer> {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    const claim = newest();
    const body = JSON.stringify({ claim: claim.secret, job: claimant.job, attempt: claimant.attempt });
    let detail: string;
    try {
      const { status, text } = await post(claim.url, body, claimant.stopped);
      if (status === 200) return { kind: 'attached', body: JSON.parse(text) };
      detail = `its node answered ${status} to the claim`;
      if (status !== 404 && status < 500) return { kind: 'refused', detail };
    } catch (error) {
      detail = `its node does not answer (${error instanceof Error && 'code' in error ? error.code : 'unreadable answer'})`;
    }
    if (claimant.stopped.aborted) return { kind: 'refused', detail: 'the job was ended' };
    if (performance.now() + pauseMs > deadline) return { kind: 'refused', detail };
    await pause(pauseMs, undefined, { signal: claimant.stopped }).catch(() => {});
  }
}

function post(
  url: string,
  body: string,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const asked = request(
      url,
      { method: 'POST', headers, signal, timeout: ANSWER_TIMEOUT_MS, agent: false },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (part: string) => {
          text += part;
          if (text.length > ANSWER_BYTES) answer.destroy(new Error('answer too long'));
        });
        answer.on('error', reject);
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      },
    );
    asked.on('timeout', () => asked.destroy(new Error('no answer')));
    asked.on('error', reject);
    asked.end(body);
  });
}
