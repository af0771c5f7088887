import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressList, isCidr } from './address-list.ts';

test('an IPv4 peer on a dual-stack socket counts as IPv4', () => {
  const list = addressList(['10.0.0.0/8', '192.0.2.7']);
  assert.ok(list.check('10.1.2.3'));
  assert.ok(list.check('::ffff:10.1.2.3'));
  assert.ok(list.check('::ffff:192.0.2.7'));
  assert.ok(!list.check('::ffff:192.0.2.8'));
  assert.ok(!list.check('11.0.0.1'));
});

test('IPv6 networks are kept apart from IPv4 ones', () => {
  const list = addressList(['2001:db8::/32', '::1']);
  assert.ok(list.check('2001:db8::5'));
  assert.ok(list.check('::1'));
  assert.ok(!list.check('2001:db9::5'));
  assert.ok(!list.check('127.0.0.1'));
  assert.ok(!list.check('::ffff:127.0.0.1'));
});

test('an empty list takes nobody, and what is no address is nobody', () => {
  assert.ok(!addressList([]).check('127.0.0.1'));
  fc.assert(
    fc.property(fc.string(), (text) => {
      fc.pre(!/^[0-9a-fA-F:.%]+$/.test(text));
      assert.ok(!addressList(['0.0.0.0/0', '::/0']).check(text));
    }),
  );
});

test('an address is in its own /32, in every network above it, and in no other /32', () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.nat(32), fc.ipV4(), (address, prefix, other) => {
      assert.ok(addressList([`${address}/${prefix}`]).check(address));
      assert.ok(addressList([`${address}/${prefix}`]).check(`::ffff:${address}`));
      assert.equal(addressList([address]).check(other), other === address);
    }),
  );
});

test('whatever text is accepted as an address list can be asked', () => {
  const octet = fc.nat(255);
  const cidr = fc.oneof(
    fc.tuple(octet, octet, octet, octet, fc.nat(40)).map(([a, b, c, d, p]) => `${a}.${b}.${c}.${d}/${p}`),
    fc.tuple(fc.ipV6(), fc.nat(140)).map(([a, p]) => `${a}/${p}`),
    fc.ipV4Extended(),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(cidr), fc.ipV4(), (texts, address) => {
      const accepted = texts.filter(isCidr);
      assert.equal(typeof addressList(accepted).check(address), 'boolean');
      assert.ok(addressList([...accepted, `${address}/32`]).check(address));
    }),
  );
});
