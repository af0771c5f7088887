/** A stream that clients reach through our gateway. */

import type { Gateway } from '../../gateway/open-gateway.ts';
import type { QuotaMeter } from '../../quota.ts';
import { observeGateway } from '../observe-gateway.ts';
import type { Front } from './front.ts';

export function gatewayFront(
  gateway: Gateway,
  at: {
    readonly stream: string;
    readonly scheme: string;
    readonly external: string;
    readonly compute: string;
    readonly quota: QuotaMeter;
  },
): Front {
  return {
    port: gateway.port,
    observe: ({ buffered, bufferedBytes }, lost) =>
      observeGateway(gateway, {
        ...{ ...at, lost },
        counters: { buffered, bufferedBytes, unconfirmed: gateway.counters().unconfirmed },
      }),
    cut: (isUnwanted, reason) => void gateway.cut(isUnwanted, reason),
    cutProducers: (reason) => void gateway.cut((grant) => grant.role === 'producer', reason),
    rehold: gateway.rehold,
    close: (reason) => gateway.close(reason),
  };
}
