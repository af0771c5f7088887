/**
 * A stream reached through a packet router (mode `l4`): HAProxy lets in by address, RabbitMQ behind it ends TLS and asks the node about everything else, as in mode `direct`. A router that
 * died is started again at the same port. Owns the router, and the direct front behind it.
 */
import type { Clock } from '../../../clock.ts';
import { endRouter, type Router, type RouterTerms, startRouter } from '../../router/tcp-router.ts';
import { type DirectFrontOptions, directFront } from './direct-front.ts';
import type { Front } from './front.ts';

export interface L4FrontOptions extends DirectFrontOptions {
  readonly clock: Clock;
  readonly routerFolder: string;
  readonly router: Omit<RouterTerms, 'allowed'>;
  /** As the lease says now. */
  readonly allowed: () => readonly string[];
  readonly log: { warn(fields: object, text: string): void };
}

/** Rejects where the router does not come up. */
export async function l4Front(options: L4FrontOptions): Promise<Front> {
  const { stream, routerFolder, clock } = options;
  const start = (): Promise<Router> =>
    startRouter(routerFolder, { ...options.router, allowed: options.allowed() }, clock);
  let router = await start();
  let problem = '';
  let listed = options.allowed().join();
  let closed = false;
  let busy: Promise<void> = Promise.resolve();
  const settle = async (): Promise<void> => {
    if (closed) return;
    try {
      if (!router.isAlive()) {
        options.log.warn({ stream }, 'a router ended; it is started again');
        router = await start();
      }
      const now = options.allowed();
      if (now.join() !== listed) await router.allow(now);
      listed = now.join();
      problem = '';
    } catch (cause) {
      problem = `its router: ${cause instanceof Error ? cause.message : String(cause)}`;
      options.log.warn({ stream, err: cause }, 'a router is not as it should be; it is tried again');
    }
  };
  const behind = directFront(options);
  return {
    port: behind.port,
    observe: (sight, lost) => behind.observe(sight, lost || problem),
    cutProducers: behind.cutProducers,
    cut(isUnwanted, reason) {
      behind.cut(isUnwanted, reason);
      busy = busy.then(settle);
    },
    async close(reason) {
      closed = true;
      await busy;
      await behind.close(reason);
      await endRouter(routerFolder, clock);
    },
  };
}
