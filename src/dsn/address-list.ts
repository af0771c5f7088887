/** Addresses that may connect, as CIDRs, IPv4 and IPv6; an IPv4 peer on a dual-stack socket (::ffff:a.b.c.d) counts as IPv4. */
import { BlockList, isIP } from 'node:net';

export interface AddressList {
  check(address: string): boolean;
}

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
