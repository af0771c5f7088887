/** RESP before the gateway: Redis and Valkey. Answers are not walked: between them there is no place that could be told from the inside of one, so who is cut hears nothing more. */
import { commandScanner, failure } from '../resp/index.ts';
import type { Protocol } from './protocol.ts';
import { respHandshake } from './resp-handshake.ts';

/** `maxMessageBytes`: of one argument of a command. */
export function respProtocol({ maxMessageBytes }: { readonly maxMessageBytes: number }): Protocol {
  return {
    full: failure('ERR max number of clients reached'),
    begin: (judge, upstream) => ({
      handshake: respHandshake(judge, upstream),
      quotaReached: (reason) => failure(`ERR ${reason} (beamway)`),
      up() {
        const scanner = commandScanner({ maxWordBytes: maxMessageBytes });
        return {
          walk(octets, room) {
            const reason = scanner.scanUpTo(octets, room);
            if (typeof reason === 'number') return reason === octets.length ? undefined : { before: reason };
            return { reason, say: failure(`ERR Protocol error: ${reason} (beamway)`) };
          },
          messages: scanner.messages,
          // Redis waits for the rest of a command as long as it takes.
          missing: () => 0,
        };
      },
    }),
  };
}
