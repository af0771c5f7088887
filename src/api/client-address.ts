/**
 * From which address a request comes. X-Forwarded-For is anybody's to write, so it is believed only as far as the proxies that the facility
 * trusts wrote it: from the right, each entry by the one that handed it on; the first that is no trusted proxy is the client. Pure.
 */
import { isIP } from 'node:net';
import type { AddressList } from '../address-list.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Of the client, as far as it can be believed; see client-address.ts. */
    clientAddress: string;
  }
}

/** More hops than this nobody has; what lies left of them is not read. */
const MOST_HOPS = 32;

/** `trusted` undefined: no proxy is. An entry that is no address ends the search: the last hop that can be believed counts. */
export function clientAddress(
  socketAddress: string,
  forwardedFor: string | undefined,
  trusted: AddressList | undefined,
): string {
  if (trusted === undefined || forwardedFor === undefined || !trusted.check(socketAddress)) return socketAddress;
  let believed = socketAddress;
  for (const entry of forwardedFor.split(',', 4096).slice(-MOST_HOPS).reverse()) {
    const address = readEntry(entry.trim());
    if (address === undefined) return believed;
    believed = address;
    if (!trusted.check(address)) return believed;
  }
  return believed;
}

/** `192.0.2.1`, `2001:db8::1`, and as some proxies write them: `192.0.2.1:4711`, `[2001:db8::1]`, `[2001:db8::1]:4711`. */
function readEntry(entry: string): string | undefined {
  const bare = /^\[([^[\]]+)\](?::\d{1,5})?$/.exec(entry)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(entry)?.[1] ?? entry;
  if (isIP(bare) === 0 || bare.includes('%')) return undefined;
  return plainAddress(bare);
}

function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address;
}

/** What addresses are counted by: IPv4 whole, IPv6 by its first 64 bits, of which one person has a network. */
export function addressKey(address: string): string {
  const plain = plainAddress(address);
  if (isIP(plain) !== 6) return plain;
  const [head = '', tail] = (plain.split('%')[0] ?? '').split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  // A trailing dotted quad counts for two groups.
  const count = first.length + last.length + (plain.includes('.') ? 1 : 0);
  const groups = tail === undefined ? first : [...first, ...Array<string>(Math.max(0, 8 - count)).fill('0'), ...last];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
