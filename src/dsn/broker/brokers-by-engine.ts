/** The node's engines as one broker: each lease goes to the engine that it names. */
import type { Lease } from '../../api/contract/node-link.ts';
import type { Broker } from './broker.ts';

export interface NodeBroker extends Omit<Broker, 'engine' | 'isInstalled'> {
  /** Those whose programs this host has. */
  engines(): readonly Lease['engine'][];
}

export function brokersByEngine(brokers: readonly Broker[]): NodeBroker {
  return {
    engines: () => brokers.filter((b) => b.isInstalled?.() !== false).map((b) => b.engine),
    async ensure(lease, local) {
      const broker = brokers.find((b) => b.engine === lease.engine);
      if (broker === undefined) throw new Error(`this node has no engine ${lease.engine}`);
      await broker.ensure(lease, local);
    },
    async close(stream, reason) {
      for (const broker of brokers)
        if (broker.observe().some((o) => o.stream === stream)) await broker.close(stream, reason);
    },
    observe: () => brokers.flatMap((b) => b.observe()),
    ports(stream) {
      for (const broker of brokers) {
        const ports = broker.ports(stream);
        if (ports !== undefined) return ports;
      }
      return undefined;
    },
    async stop() {
      for (const broker of brokers) await broker.stop?.();
    },
    used: (credential) => brokers.some((b) => b.used(credential)),
  };
}
