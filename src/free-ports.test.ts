// Ports for servers with a configuration file: outside the kernel's own range, different, and free.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { freePorts, portsBeside } from './free-ports.ts';

test('ports are chosen beside the range of outgoing connections', () => {
  assert.deepEqual(portsBeside('32768\t60999\n'), [10_000, 32_767]);
  assert.deepEqual(portsBeside('10000 30000'), [30_001, 65_535]);
});

test('forty ports are different, beside the range, and can be bound', async () => {
  const ports = await freePorts(40);
  assert.equal(new Set(ports).size, 40);
  const [first, last] = portsBeside(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'));
  for (const port of ports) {
    assert.ok(port >= first && port <= last, `${port}`);
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
  }
});
