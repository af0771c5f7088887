/**
 * Who we are to a passkey: the host name under which browsers know us, and the one origin that may speak for it. On loopback that is
 * `localhost`, as a browser gives passkeys to names and never to addresses. W3C WebAuthn Level 3, section 5.1.2 (RP ID).
 */
import { isIP } from 'node:net';

export interface RelyingParty {
  readonly id: string;
  readonly origin: string;
}

/** Undefined where browsers know us by an address of a network: no passkey can be of that. `origin`: scheme, host and port. */
export function relyingParty(origin: string): RelyingParty | undefined {
  const url = new URL(origin);
  const host = url.hostname.replaceAll(/^\[|\]$/g, '');
  if (/^127\.\d+\.\d+\.\d+$/.test(host) || host === '::1') {
    url.hostname = 'localhost';
    return { id: 'localhost', origin: url.origin };
  }
  if (isIP(host) !== 0) return undefined;
  if (url.protocol !== 'https:' && host !== 'localhost') return undefined;
  return { id: host, origin: url.origin };
}
