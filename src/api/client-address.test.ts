import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressList } from '../address-list.ts';
import { addressKey, clientAddress } from './client-address.ts';

const TRUSTED = addressList(['10.0.0.0/8', '127.0.0.1', '2001:db8:f::/48']);

test('without trusted proxies the header is nothing, whatever it says', () => {
  fc.assert(
    fc.property(fc.string(), (header) => assert.equal(clientAddress('192.0.2.1', header, undefined), '192.0.2.1')),
  );
});

test('from anybody but a trusted proxy the header is nothing', () => {
  assert.equal(clientAddress('192.0.2.1', '198.51.100.7', TRUSTED), '192.0.2.1');
  assert.equal(clientAddress('::ffff:10.1.1.1', '198.51.100.7', TRUSTED), '198.51.100.7');
});

test('the rightmost address that is no trusted proxy is the client, whatever was written left of it', () => {
  const from = (header: string): string => clientAddress('127.0.0.1', header, TRUSTED);
  assert.equal(from('203.0.113.9'), '203.0.113.9');
  assert.equal(from('1.1.1.1, 203.0.113.9'), '203.0.113.9');
  assert.equal(from('1.1.1.1, 203.0.113.9 , 10.2.3.4,10.9.9.9'), '203.0.113.9');
  assert.equal(from('10.2.3.4, 10.9.9.9'), '10.2.3.4', 'a client on the proxies’ own network');
  assert.equal(from('203.0.113.9:4711, 10.2.3.4:80'), '203.0.113.9');
  assert.equal(from('[2001:db8::1]:4711, [2001:db8:f::2]'), '2001:db8::1');
  assert.equal(from('::ffff:203.0.113.9'), '203.0.113.9');
});

test('an entry that is no address ends the search at the last hop that can be believed', () => {
  const from = (header: string): string => clientAddress('127.0.0.1', header, TRUSTED);
  assert.equal(from(''), '127.0.0.1');
  assert.equal(from('unknown'), '127.0.0.1');
  assert.equal(from('203.0.113.9, unknown, 10.2.3.4'), '10.2.3.4');
  assert.equal(from('fe80::1%eth0'), '127.0.0.1');
  assert.equal(from('203.0.113.9, 10.2.3.4, '), '127.0.0.1');
});

test('whatever a client writes, it is never taken for more than one whom a proxy named', () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6());
  const left = fc.array(fc.oneof(address, fc.string({ maxLength: 30 })), { maxLength: 50 });
  const outside = address.filter((a) => !TRUSTED.check(a) && !a.startsWith('::ffff:'));
  fc.assert(
    fc.property(
      left,
      outside,
      fc.array(fc.constantFrom('10.0.0.1', '10.4.4.4'), { maxLength: 5 }),
      (lies, real, hops) => {
        assert.equal(clientAddress('127.0.0.1', [...lies, real, ...hops].join(', '), TRUSTED), real);
      },
    ),
  );
  fc.assert(
    fc.property(fc.string({ maxLength: 5000 }), (header) => {
      assert.notEqual(isIP(clientAddress('10.0.0.1', header, TRUSTED)), 0);
    }),
  );
});

test('IPv4 counts by address, mapped or not, IPv6 by its first 64 bits', () => {
  assert.equal(addressKey('192.0.2.1'), '192.0.2.1');
  assert.equal(addressKey('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(addressKey('2001:db8:1:2:aaaa::1'), '2001:db8:1:2::/64');
  assert.equal(addressKey('2001:0db8:1:2::'), addressKey('2001:db8:1:2:3:4:5:6'));
  assert.notEqual(addressKey('2001:db8:1:3::1'), addressKey('2001:db8:1:2::1'));
  assert.equal(addressKey('::1'), '0:0:0:0::/64');
  assert.equal(addressKey('64:ff9b::192.0.2.33'), '64:ff9b:0:0::/64');
  assert.equal(addressKey('fe80::1%eth0'), 'fe80:0:0:0::/64');
});
