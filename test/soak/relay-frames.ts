/** 200,000 checksummed frames through one relay to real libzmq consumers that are killed and replaced: none lost with redeliver. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Dealer, Push } from 'zeromq';
import { openRelay } from '../../src/dsn/broker/relay/index.ts';
import type { Soak } from './soak.ts';

const FRAME_BYTES = 16_384;
const REPLACE_EVERY = 1500;

export const relayFrames: Soak = {
  name: 'relay-frames',
  promise: 'with redeliver no frame is lost or changed when consumers die',
  unit: 'frames of 16 KiB',
  total: 200_000,
  chunk: 10_000,
  async run({ seed }, { index, count }) {
    const relay = await openRelay({
      streamId: 'soak',
      host: '127.0.0.1',
      port: 0,
      admission: 'credential',
      delivery: 'redeliver',
      overflow: 'wait',
      bufferBytes: 16_777_216,
      maxMessageBytes: 1_048_576,
      maxConnections: 16,
      handshakeTimeoutMs: 5000,
      consumerListens: [],
      admit: ({ username }) => ({ ok: true, role: username === 'p' ? 'producer' : 'consumer', credentialId: username }),
    });
    const endpoint = `tcp://127.0.0.1:${relay.endpoints.port}`;
    try {
      const sending = send({ endpoint, count, salt: `${seed}/${index}` });
      const seen = new Set<number>();
      let twice = 0;
      while (seen.size < count) {
        const consumer = new Dealer({ plainUsername: 'c', plainPassword: 'x', receiveHighWaterMark: 16, linger: 0 });
        consumer.connect(endpoint);
        let taken = 0;
        for await (const [tag, frame] of consumer) {
          if (tag === undefined || frame === undefined) throw new Error('a delivery without tag or frame');
          const number = frame.readUInt32BE(0);
          const digest = createHash('sha256').update(frame.subarray(36)).digest();
          assert.ok(digest.equals(frame.subarray(4, 36)), `frame ${number} was changed on the way`);
          if (seen.has(number)) twice += 1;
          seen.add(number);
          taken += 1;
          // The last ones before its end are never returned: they must come again.
          if (taken < REPLACE_EVERY) await consumer.send(tag);
          if (seen.size === count || taken >= REPLACE_EVERY + 5) break;
        }
        consumer.close();
      }
      await sending;
      return { redelivered: relay.counters().redelivered, seenTwice: twice };
    } finally {
      await relay.close('the chunk is over');
    }
  },
};

async function send(frames: {
  readonly endpoint: string;
  readonly count: number;
  readonly salt: string;
}): Promise<void> {
  const producer = new Push({ plainUsername: 'p', plainPassword: 'x', sendHighWaterMark: 64, linger: 60_000 });
  producer.connect(frames.endpoint);
  for (let i = 0; i < frames.count; i++) {
    const frame = Buffer.alloc(FRAME_BYTES, `${frames.salt}/${i}`);
    frame.writeUInt32BE(i, 0);
    createHash('sha256').update(frame.subarray(36)).digest().copy(frame, 4);
    await producer.send(frame);
  }
  producer.close();
}
