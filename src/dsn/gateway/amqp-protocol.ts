/** AMQP 0-9-1 before the gateway: RabbitMQ. Both directions are walked, so that who is cut is told why, between two frames (Connection.Close 320). */
import { closeFrame, frameWalker, REPLY } from '../amqp/index.ts';
import { type AmqpTerms, amqpHandshake } from './amqp-handshake.ts';
import type { Protocol } from './protocol.ts';

export interface AmqpProtocolTerms {
  readonly vhost: string;
  /** Asked for each connection: a broker that was started again may say others. */
  readonly serverProperties: () => AmqpTerms['serverProperties'];
  /** Of one message's content. */
  readonly maxMessageBytes: number;
}

export function amqpProtocol(terms: AmqpProtocolTerms): Protocol {
  return {
    full: closeFrame(REPLY.notAllowed, 'NOT_ALLOWED - too many connections to this stream'),
    begin(judge, upstream) {
      const { vhost, maxMessageBytes } = terms;
      const handshake = amqpHandshake({ vhost, serverProperties: terms.serverProperties() }, judge, upstream);
      return {
        handshake,
        up() {
          const walker = frameWalker({ maxFrameBytes: handshake.maxFrameBytes(), maxMessageBytes });
          return {
            walk(octets) {
              const wrong = walker.walk(octets);
              return wrong === undefined
                ? undefined
                : { reason: wrong.reason, say: closeFrame(wrong.code, wrong.reason) };
            },
            messages: () => walker.counts().messages,
            unconfirmed: () => walker.counts().unconfirmed,
          };
        },
        down: () => {
          const walker = frameWalker({ maxFrameBytes: 0, maxMessageBytes: Number.MAX_SAFE_INTEGER });
          return { ...walker, walk: (octets) => void walker.walk(octets) };
        },
        farewell: (reason) => closeFrame(REPLY.forced, `CONNECTION_FORCED - ${reason}`),
      };
    },
  };
}
