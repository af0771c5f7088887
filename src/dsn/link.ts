/**
 * The agent's one connection to the control plane, outbound only. Address and bearer are read from a file before each turn, so a control
 * plane that comes back elsewhere is found again. Never throws for a link that is down: says so.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { certifyNode, type SyncAnswer, type SyncRequest, syncNode } from '../api/contract/node-link.ts';
import type { CertificateAnswer } from './certificate/node-certificate.ts';

const linkSchema = z.strictObject({ url: z.url(), bearer: z.string().min(1) });

export type Turn =
  | { readonly kind: 'answered'; readonly answer: SyncAnswer }
  | { readonly kind: 'down'; readonly detail: string }
  | { readonly kind: 'refused'; readonly detail: string };

export interface Link {
  sync(report: SyncRequest, signal: AbortSignal): Promise<Turn>;
  /** Rejects with Error where the link is down or the control plane refuses. */
  certify(request: string, signal: AbortSignal): Promise<CertificateAnswer>;
}

/** Time beyond the long poll that an answer may take. */
const GRACE_MS = 5000;

export function openLink(linkFile: string, node: string): Link {
  const post = async (path: string, body: object, wait: { readonly ms: number; readonly signal: AbortSignal }) => {
    // AbortSignal.any() with a signal that lives as long as the process would keep a trace of every turn.
    const turn = new AbortController();
    const abort = (): void => turn.abort();
    const timer = setTimeout(abort, wait.ms);
    wait.signal.addEventListener('abort', abort, { once: true });
    if (wait.signal.aborted) abort();
    try {
      const { url, bearer } = linkSchema.parse(JSON.parse(readFileSync(linkFile, 'utf8')));
      const response = await fetch(new URL(path.replace('{id}', encodeURIComponent(node)), url), {
        method: 'POST',
        headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: turn.signal,
      });
      return { status: response.status, text: await response.text() };
    } finally {
      clearTimeout(timer);
      wait.signal.removeEventListener('abort', abort);
    }
  };
  return {
    async sync(report, signal) {
      try {
        const { status, text } = await post(syncNode.path, report, { ms: report.waitMs + GRACE_MS, signal });
        if (status !== 200) {
          const detail = `${status} ${text.slice(0, 300)}`;
          return status === 401 || status === 403 ? { kind: 'refused', detail } : { kind: 'down', detail };
        }
        return { kind: 'answered', answer: syncNode.response.parse(JSON.parse(text)) };
      } catch (cause) {
        return {
          kind: 'down',
          detail:
            cause instanceof Error
              ? `${cause.message} ${cause.cause instanceof Error ? cause.cause.message : ''}`.trim()
              : String(cause),
        };
      }
    },
    async certify(request, signal) {
      const { status, text } = await post(certifyNode.path, { request }, { ms: GRACE_MS, signal });
      if (status !== 200) throw new Error(`${status} ${text.slice(0, 300)}`);
      return certifyNode.response.parse(JSON.parse(text));
    },
  };
}
