/** The line at the foot of each page of a signed-in person: where else to go. Also how times are written on pages. */
import type { SessionCaller } from '../../identity/index.ts';
import { type Html, html, type PageCall } from './page.ts';

export function places(call: PageCall, session: SessionCaller): Html {
  return html`<nav class="places" aria-label="Your account">
<ul>
<li><a href="/beamway/sessions">Your sign-ins</a></li>
<li><a href="/beamway/factor">Second factor</a></li>
<li><a href="/beamway/device">Confirm a code</a></li>
</ul>
</nav>
<form class="actions" method="post" action="/beamway/sign-out">
<input type="hidden" name="csrf" value="${call.csrf}">
<span class="quiet">Signed in as <strong>${session.subject}</strong></span>
<button class="second small">Sign out</button>
</form>`;
}

/** `2026-11-23 07:15 UTC`: pages know no time zone of their reader. */
export function pageTime(at: Date): Html {
  const text = `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  return html`<time datetime="${at.toISOString()}">${text}</time>`;
}
