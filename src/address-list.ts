/** Addresses that may connect, as CIDRs, IPv4 and IPv6; an IPv4 peer on a dual-stack socket (::ffff:a.b.c.d) counts as IPv4. */
import { BlockList, isIP } from 'node:net';

export interface AddressList {
  check(address: string): boolean;
}

/** Host bits of a CIDR are ignored. Every text must have passed `isCidr`. */
export function addressList(cidrs: readonly string[]): AddressList {
  const list = new BlockList();
  for (const cidr of cidrs) {
    const [base = '', prefix] = cidr.split('/');
    const family = isIP(base) === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) list.addAddress(base, family);
    else list.addSubnet(base, Number(prefix), family);
  }
  return {
    check(address) {
      const plain = address.startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address;
      const family = isIP(plain);
      return family !== 0 && list.check(plain, family === 6 ? 'ipv6' : 'ipv4');
    },
  };
}

/** An address with or without a prefix length, IPv4 or IPv6. */
export function isCidr(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  if (prefix === undefined) return true;
  return /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
}
