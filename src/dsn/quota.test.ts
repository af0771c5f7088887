// What producers may put in over a stream's whole life: no more than the quota, whatever the pieces, over a restart and a change of the quota.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { quotaMeter } from './quota.ts';

test('who puts in no more than there is room for never goes beyond, also over restarts', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ bytes: fc.nat(100), restart: fc.boolean() }), { maxLength: 60 }),
      fc.record({ byteQuota: fc.nat(1000), messageQuota: fc.nat(20) }),
      (sent, quotas) => {
        let meter = quotaMeter(() => quotas);
        for (const { bytes, restart } of sent) {
          const room = meter.room();
          if (bytes <= room.bytes && room.messages > 0) meter.add(bytes, 1);
          else meter.exceed(bytes > room.bytes ? 'bytes' : 'messages');
          if (restart) meter = quotaMeter(() => quotas, meter.usage());
        }
        const used = meter.usage();
        assert.ok(quotas.byteQuota === 0 || used.bytes <= quotas.byteQuota);
        assert.ok(quotas.messageQuota === 0 || used.messages <= quotas.messageQuota);
        if (quotas.byteQuota + quotas.messageQuota === 0) assert.equal(meter.reached(), '');
      },
    ),
    { numRuns: 1000 },
  );
});

test('a quota that is used up is named, and a larger one lets more in', () => {
  const quotas = { byteQuota: 10, messageQuota: 0 };
  const meter = quotaMeter(() => quotas);
  meter.add(9, 1);
  assert.equal(meter.reached(), '');
  meter.exceed('bytes');
  assert.match(meter.reached(), /byteQuota of 10 is used up/);
  quotas.byteQuota = 20;
  assert.equal(meter.reached(), '');
  assert.deepEqual(meter.room(), { bytes: 11, messages: Number.POSITIVE_INFINITY });
  quotas.messageQuota = 1;
  assert.match(meter.reached(), /messageQuota of 1 is used up/);
});
