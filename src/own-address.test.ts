import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requireOwnAddress } from './own-address.ts';

test('an address of this host is taken, one of no interface is told so', async () => {
  await requireOwnAddress('127.0.0.1');
  await requireOwnAddress('127.1.2.3');
  await assert.rejects(requireOwnAddress('203.0.113.9'), /address 203\.0\.113\.9 is on no interface of this host/);
});

test('an address that is every interface is refused, however it is written', async () => {
  for (const address of ['0.0.0.0', '::', '0:0::0', '::ffff:0.0.0.0'])
    await assert.rejects(requireOwnAddress(address), /all interfaces|on no interface|nothing can listen/, address);
});
