/**
 * Address ranges that a token may be used from: their algebra, on bytes. IPv4 lives in IPv6's ::ffff:0:0/96 (RFC 4291 2.5.5.2), as Node's BlockList has it,
 * so one rule serves both families. A property test holds it to BlockList's membership. Pure.
 */
import { isIP } from 'node:net';

export interface SourceRange {
  /** The lowest address, 16 bytes; host bits are zero. */
  readonly bytes: readonly number[];
  /** Of the 128 bits. */
  readonly prefix: number;
}

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
const MAPPED_BITS = 96;

/** An address or CIDR, IPv4 or IPv6, without a zone; undefined for anything else. Host bits are dropped. */
export function parseRange(text: string): SourceRange | undefined {
  const [address = '', prefixText, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0 || address.includes('%')) return undefined;
  const most = family === 4 ? 32 : 128;
  if (prefixText !== undefined && !/^(0|[1-9]\d{0,2})$/.test(prefixText)) return undefined;
  const length = prefixText === undefined ? most : Number(prefixText);
  if (length > most) return undefined;
  const bytes = family === 4 ? [...MAPPED, ...fourBytes(address)] : sixteenBytes(address);
  const prefix = family === 4 ? length + MAPPED_BITS : length;
  return { bytes: masked(bytes, prefix), prefix };
}

/** Every address of `inner` is one of `outer`. */
export function isWithin(inner: SourceRange, outer: SourceRange): boolean {
  if (inner.prefix < outer.prefix) return false;
  return masked(inner.bytes, outer.prefix).every((byte, i) => byte === outer.bytes[i]);
}

/** Length of the prefix as people write it, and of which family. */
export function writtenPrefix(range: SourceRange): { readonly family: 'ipv4' | 'ipv6'; readonly length: number } {
  return isMapped(range)
    ? { family: 'ipv4', length: range.prefix - MAPPED_BITS }
    : { family: 'ipv6', length: range.prefix };
}

/** The one way of writing it: IPv4 dotted, IPv6 in full groups without leading zeros, always with its prefix. */
export function rangeText(range: SourceRange): string {
  const { family, length } = writtenPrefix(range);
  if (family === 'ipv4') return `${range.bytes.slice(12).join('.')}/${length}`;
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((range.bytes[2 * i] ?? 0) << 8) | (range.bytes[2 * i + 1] ?? 0)).toString(16),
  );
  return `${new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)}/${length}`;
}

function isMapped(range: SourceRange): boolean {
  return range.prefix >= MAPPED_BITS && MAPPED.every((byte, i) => range.bytes[i] === byte);
}

function masked(bytes: readonly number[], prefix: number): number[] {
  return bytes.map((byte, i) => {
    const bits = Math.min(Math.max(prefix - 8 * i, 0), 8);
    return byte & (0xff00 >> bits) & 0xff;
  });
}

function fourBytes(address: string): number[] {
  return address.split('.').map(Number);
}

/** `address` has passed isIP as IPv6. */
function sixteenBytes(address: string): number[] {
  const [head = '', tail] = address.split('::');
  const front = groupBytes(head);
  if (tail === undefined) return front;
  const back = groupBytes(tail);
  return [...front, ...Array.from({ length: 16 - front.length - back.length }, () => 0), ...back];
}

function groupBytes(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return fourBytes(group);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
