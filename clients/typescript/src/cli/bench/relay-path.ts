/** A way through a relay stream, by ZeroMQ's own protocol. A relay confirms nothing: a full buffer holds the sender up. */
import type { LoadPath, PathTerms } from './load-path.ts';
import { connectZmtp, type ZmtpPeer } from './zmtp-peer.ts';

export async function relayPath({ producer, consumer, redeliver, onFault }: PathTerms): Promise<LoadPath> {
  return {
    confirms: false,
    async producer() {
      let fault: string | undefined;
      const peer = await connectZmtp(producer, {
        type: 'PUSH',
        onMessage: () => undefined,
        onEnd: (why) => {
          fault = why;
          onFault(why);
        },
      });
      return {
        put(message) {
          if (fault !== undefined) return Promise.reject(new Error(fault));
          peer.send(message);
          return Promise.resolve(true);
        },
        room: () => peer.room(),
        close: () => peer.close(),
      };
    },
    async consumer(_, on) {
      let peer: ZmtpPeer | undefined;
      const early: Buffer[] = [];
      const done = (tag: Buffer): void => (peer === undefined ? void early.push(tag) : peer.send(tag));
      peer = await connectZmtp(consumer, {
        type: redeliver ? 'DEALER' : 'PULL',
        onMessage(parts) {
          const [first, second] = parts;
          if (!redeliver) return on(first ?? Buffer.alloc(0));
          on(second ?? Buffer.alloc(0));
          if (first !== undefined) done(first);
        },
        onEnd: onFault,
      });
      for (const tag of early) peer.send(tag);
      return { close: () => peer.close() };
    },
    close: () => Promise.resolve(),
  };
}
