/**
 * The agent's one connection to the control plane, outbound only. Address and bearer are read from a file before each turn, so a control
 * plane that comes back elsewhere is found again. Never throws for a link that is down: says so.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type SyncAnswer, type SyncRequest, syncNode } from '../api/contract/node-link.ts';

const linkSchema = z.strictObject({ url: z.url(), bearer: z.string().min(1) });

export type Turn =
  | { readonly kind: 'answered'; readonly answer: SyncAnswer }
  | { readonly kind: 'down'; readonly detail: string }
  | { readonly kind: 'refused'; readonly detail: string };

export interface Link {
  sync(report: SyncRequest, signal: AbortSignal): Promise<Turn>;
}

/** Time beyond the long poll that an answer may take. */
const GRACE_MS = 5000;

export function openLink(linkFile: string, node: string): Link {
  return {
    async sync(report, signal) {
      // AbortSignal.any() with a signal that lives as long as the process would keep a trace of every turn.
      const turn = new AbortController();
      const abort = (): void => turn.abort();
      const timer = setTimeout(abort, report.waitMs + GRACE_MS);
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
      try {
        const { url, bearer } = linkSchema.parse(JSON.parse(readFileSync(linkFile, 'utf8')));
        const response = await fetch(new URL(syncNode.path.replace('{id}', encodeURIComponent(node)), url), {
          method: 'POST',
          headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
          body: JSON.stringify(report),
          signal: turn.signal,
        });
        if (!response.ok) {
          const detail = `${response.status} ${(await response.text()).slice(0, 300)}`;
          return response.status === 401 || response.status === 403
            ? { kind: 'refused', detail }
            : { kind: 'down', detail };
        }
        return { kind: 'answered', answer: syncNode.response.parse(await response.json()) };
      } catch (cause) {
        return {
          kind: 'down',
          detail:
            cause instanceof Error
              ? `${cause.message} ${cause.cause instanceof Error ? cause.cause.message : ''}`.trim()
              : String(cause),
        };
      } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
      }
    },
  };
}
