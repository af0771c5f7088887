/** The node's engines as one broker: each lease goes to the engine that it names. */
import type { Broker } from './broker.ts';

export function brokersByEngine(brokers: readonly Broker[]): Omit<Broker, 'engine'> {
  return {
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
    used: (credential) => brokers.some((b) => b.used(credential)),
  };
}
