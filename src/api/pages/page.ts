/**
 * What a page is: a path, what it needs, and one function from a call to an answer. Text reaches a page through `html`, which escapes
 * every string, so that nothing a person or an identity provider sends becomes markup. `serve-pages.ts` is what calls them.
 */
import type { SessionCaller } from '../../identity/index.ts';

/** Already escaped. */
export interface Html {
  readonly html: string;
}

/** A cookie to set, HttpOnly and for our whole origin; `name` without the `__Host-` that serve-pages puts before it behind TLS. */
export interface Cookie {
  readonly name: string;
  readonly value: string;
  /** Zero takes the cookie away; absent keeps it until the browser closes. */
  readonly maxAgeSeconds?: number;
}

export interface PageCall {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  /** POST: urlencoded or a JSON object of strings; else {}. */
  readonly form: Readonly<Record<string, string>>;
  /** POST application/json: the parsed body. */
  readonly json: unknown;
  readonly session: SessionCaller | undefined;
  /** The secret in the browser's own cookie: what is begun in this browser is bound to it. Never stored, never shown. */
  readonly browser: string;
  readonly userAgent: string;
  /** To be sent back as the field `csrf` (form or JSON object) or the header `x-csrf-token` of every POST. */
  readonly csrf: string;
  readonly remoteAddress: string;
  readonly requestId: string;
  /** Scheme, host and port by which browsers know us. */
  readonly origin: string;
  /** Milliseconds of the wall clock. */
  readonly now: number;
}

export type PageAnswer =
  | { readonly kind: 'page'; readonly status: number; readonly body: Html; readonly cookies?: readonly Cookie[] }
  | { readonly kind: 'redirect'; readonly to: string; readonly cookies?: readonly Cookie[] }
  | {
      readonly kind: 'json';
      readonly status: number;
      readonly body: unknown;
      readonly cookies?: readonly Cookie[];
    }
  | { readonly kind: 'script'; readonly text: string };

export interface Page {
  /** `noun.verb`; the action of its audit records. */
  readonly id: string;
  readonly method: 'GET' | 'POST';
  /** Fastify's syntax: `/beamway/sessions/:id`. */
  readonly path: string;
  readonly needs: 'nobody' | 'session';
  readonly audit: boolean;
  handle(call: PageCall): PageAnswer | Promise<PageAnswer>;
}

const ESCAPED: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (c) => ESCAPED[c] ?? c);

function rendered(value: string | number | Html | readonly Html[]): string {
  if (typeof value === 'string') return escaped(value);
  if (typeof value === 'number') return String(value);
  return 'html' in value ? value.html : value.map((part) => part.html).join('');
}

/** Escapes every string; attributes must be quoted. */
export function html(
  parts: TemplateStringsArray,
  ...values: readonly (string | number | Html | readonly Html[])[]
): Html {
  const rest = values.map((value, i) => rendered(value) + (parts[i + 1] ?? ''));
  return { html: (parts[0] ?? '') + rest.join('') };
}

/** A whole page. `script` is a path served by us. */
export function document(title: string, body: Html, options: { readonly script?: string } = {}): Html {
  const script = options.script === undefined ? html`` : html`<script type="module" src="${options.script}"></script>`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · Beamway</title>
<link rel="stylesheet" href="/beamway/pages.css">
${script}
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header><span class="name">Beamway</span></header>
<main id="main">
<h1>${title}</h1>
${body}
</main>
</body>
</html>
`;
}
