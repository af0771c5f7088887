/**
 * The relay in a process of its own, as a node runs it: options as one JSON line on stdin, `{"port":n}` on stdout, then the
 * counters as a JSON line for every further line on stdin; ends when stdin closes.
 */
import { createInterface } from 'node:readline';
import { openRelay, type RelayOptions } from '../../../src/dsn/broker/relay/index.ts';

export type RelayOrders = Pick<RelayOptions, 'delivery' | 'bufferBytes'> & { readonly password: string };

let relay: Awaited<ReturnType<typeof openRelay>> | undefined;
for await (const line of createInterface(process.stdin)) {
  if (relay !== undefined) {
    process.stdout.write(`${JSON.stringify(relay.counters())}\n`);
    continue;
  }
  const orders = JSON.parse(line) as RelayOrders;
  relay = await openRelay({
    ...orders,
    streamId: 'str_bench',
    host: '127.0.0.1',
    port: 0,
    admission: 'credential',
    overflow: 'wait',
    maxMessageBytes: 16 * 1024 * 1024,
    maxConnections: 64,
    handshakeTimeoutMs: 10_000,
    consumerListens: [],
    admit: ({ username, password }) =>
      password === orders.password && (username === 'producer' || username === 'consumer')
        ? { ok: true, role: username, credentialId: username }
        : { ok: false, reason: 'unknown credential' },
  });
  process.stdout.write(`${JSON.stringify(relay.endpoints)}\n`);
}
await relay?.close('the benchmark is over');
