/** AMQP 0-9-1 before the gateway: RabbitMQ. Both directions are walked, so that who is cut is told why, between two frames (Connection.Close 320). */
import { closeFrame, FRAME, FRAME_END, frameWalker, REPLY } from '../amqp/index.ts';
import { type AmqpTerms, amqpHandshake } from './amqp-handshake.ts';
import type { Protocol } from './protocol.ts';

const HEARTBEAT = Buffer.of(FRAME.heartbeat, 0, 0, 0, 0, 0, 0, FRAME_END);

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
            walk(octets, room) {
              const wrong = walker.walk(octets, room);
              if (wrong?.before !== undefined) return { before: wrong.before };
              return wrong === undefined
                ? undefined
                : { reason: wrong.reason, say: closeFrame(wrong.code, wrong.reason) };
            },
            messages: () => walker.counts().messages,
            missing: walker.missing,
            unconfirmed: () => walker.counts().unconfirmed,
          };
        },
        down: () => {
          const walker = frameWalker({ maxFrameBytes: 0, maxMessageBytes: Number.MAX_SAFE_INTEGER });
          return { ...walker, walk: (octets) => void walker.walk(octets) };
        },
        heartbeat() {
          const seconds = handshake.heartbeatSeconds();
          return seconds === 0 ? undefined : { octets: HEARTBEAT, everyMs: (seconds * 1000) / 2 };
        },
        quotaReached: (reason) => closeFrame(REPLY.forced, `CONNECTION_FORCED - ${reason}`),
        farewell: (reason) => closeFrame(REPLY.forced, `CONNECTION_FORCED - ${reason}`),
      };
    },
  };
}
