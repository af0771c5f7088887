/** The algebra of address ranges, held to Node's BlockList. */
import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressList, isCidr } from '../address-list.ts';
import { isWithin, parseRange, rangeText, type SourceRange, writtenPrefix } from './source-ranges.ts';

const RUNS = { numRuns: Number(process.env['BEAMWAY_SOAK_RUNS'] ?? 2000) };

const rangeOf = (text: string): SourceRange => {
  const range = parseRange(text);
  assert.ok(range !== undefined, text);
  return range;
};

/** Few distinct bits, so that ranges meet each other. */
const octet = fc.constantFrom(0, 1, 10, 127, 128, 192, 254, 255);
const ipv4 = fc.tuple(octet, octet, octet, octet).map((o) => o.join('.'));
const group = fc.constantFrom('0', '1', '7fff', '8000', 'ffff', '2001', 'db8');
const ipv6 = fc.oneof(
  fc.array(group, { minLength: 8, maxLength: 8 }).map((g) => g.join(':')),
  fc.tuple(group, group).map(([a, b]) => `${a}::${b}`),
  ipv4.map((a) => `::ffff:${a}`),
  fc.constantFrom('::', '::1'),
);
const address = fc.oneof(ipv4, ipv6);
const cidr = fc.oneof(
  address,
  fc.tuple(ipv4, fc.integer({ min: 0, max: 32 })).map(([a, p]) => `${a}/${p}`),
  fc.tuple(ipv6, fc.integer({ min: 0, max: 128 })).map(([a, p]) => `${a}/${p}`),
);

test('a range within another holds no address that the other does not, by BlockList’s own count', () => {
  fc.assert(
    fc.property(cidr, cidr, address, (inner, outer, one) => {
      if (isWithin(rangeOf(inner), rangeOf(outer)) && addressList([inner]).check(one))
        assert.ok(addressList([outer]).check(one), `${one} in ${inner} but not in ${outer}`);
    }),
    RUNS,
  );
});

test('a single address is within a range exactly where BlockList finds it', () => {
  fc.assert(
    fc.property(address, cidr, (one, range) => {
      assert.equal(isWithin(rangeOf(one), rangeOf(range)), addressList([range]).check(one), `${one} in ${range}`);
    }),
    RUNS,
  );
});

test('being within is reflexive, transitive, and antisymmetric', () => {
  fc.assert(
    fc.property(cidr, cidr, cidr, (x, y, z) => {
      const [a, b, c] = [rangeOf(x), rangeOf(y), rangeOf(z)];
      assert.ok(isWithin(a, a));
      if (isWithin(a, b) && isWithin(b, c)) assert.ok(isWithin(a, c));
      if (isWithin(a, b) && isWithin(b, a)) assert.deepEqual(a, b);
    }),
    RUNS,
  );
});

test('the written form is read back as the same range, and means the same to BlockList', () => {
  fc.assert(
    fc.property(cidr, address, (text, one) => {
      const written = rangeText(rangeOf(text));
      assert.ok(isCidr(written), written);
      assert.deepEqual(rangeOf(written), rangeOf(text));
      assert.equal(addressList([written]).check(one), addressList([text]).check(one));
    }),
    RUNS,
  );
});

test('IPv4 in IPv6 clothes is IPv4', () => {
  assert.equal(rangeText(rangeOf('::ffff:10.1.2.3/104')), '10.0.0.0/8');
  assert.equal(rangeText(rangeOf('2001:DB8::1/33')), '2001:db8::/33');
  assert.deepEqual(writtenPrefix(rangeOf('10.9.8.7/9')), { family: 'ipv4', length: 9 });
  assert.deepEqual(writtenPrefix(rangeOf('::/0')), { family: 'ipv6', length: 0 });
  assert.ok(isWithin(rangeOf('10.0.0.0/8'), rangeOf('::/0')));
  assert.ok(!isWithin(rangeOf('::/0'), rangeOf('0.0.0.0/0')));
});

test('whatever text comes, it is a range or none, and never an exception', () => {
  const bits = fc.constantFrom('10', '.', ':', '::', '/', 'ffff', '%eth0', '-1', '33', '0x7f', ' ', '١', '032');
  const noise = fc.oneof(
    fc.string(),
    fc.array(bits, { maxLength: 8 }).map((p) => p.join('')),
  );
  fc.assert(
    fc.property(noise, (text) => {
      const range = parseRange(text);
      if (range === undefined) return;
      assert.ok(isCidr(text) && isIP(text.split('/')[0] ?? '') > 0);
      assert.equal(range.bytes.length, 16);
      assert.ok(range.bytes.every((b) => Number.isInteger(b) && b >= 0 && b <= 255));
    }),
    RUNS,
  );
  for (const text of ['', '/', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/08', '::/129', 'fe80::1%eth0', '1.2.3', 'a/b/c'])
    assert.equal(parseRange(text), undefined, text);
});
