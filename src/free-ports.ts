/**
 * Free loopback ports for servers that take theirs from a configuration file. Never from the range the kernel gives to outgoing connections: between our look and the server's bind, any
 * connection of the machine may take such a port, and the server then does not start.
 */
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';

const LOWEST = 10_000;
const HIGHEST = 65_535;

/** First and last port to choose from, beside the kernel's `ip_local_port_range`. */
export function portsBeside(range: string): readonly [number, number] {
  const [low = 32_768, high = 60_999] = range.trim().split(/\s+/).map(Number);
  return low - LOWEST >= HIGHEST - high ? [LOWEST, low - 1] : [high + 1, HIGHEST];
}

/** `count` different ports, all free at the same moment. Rejects after 1,000 looks. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const [first, last] = portsBeside(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'));
  const held = new Map<number, Server>();
  try {
    for (let looks = 0; held.size < count; looks += 1) {
      if (looks > 1000) throw new Error(`no ${count} free ports between ${first} and ${last}`);
      const port = randomInt(first, last + 1);
      const server = held.has(port) ? undefined : await hold(port);
      if (server !== undefined) held.set(port, server);
    }
    return [...held.keys()];
  } finally {
    for (const server of held.values()) await new Promise((resolve) => server.close(resolve));
  }
}

function hold(port: number): Promise<Server | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
