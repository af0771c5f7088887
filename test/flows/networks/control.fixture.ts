/** A control plane for one node, played, in its namespace: answers each turn with the version and leases in a file, and says in a JSON line what the node reports. Ends when stdin closes. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Lease, ObservedStream, SyncAnswer, SyncRequest } from '../../../src/api/contract/node-link.ts';

export interface ControlOrders {
  readonly address: string;
  /** `{version, leases}`, replaced whole. */
  readonly leasesFile: string;
}

export interface ControlLine {
  readonly port?: number;
  readonly streams?: readonly ObservedStream[];
}

const TURN_MS = 100;
const { address, leasesFile } = JSON.parse(process.argv[2] ?? '') as ControlOrders;
const say = (line: ControlLine): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

const server = createServer(async (request, response) => {
  let text = '';
  for await (const part of request) text += String(part);
  if (!(request.url ?? '').endsWith('/sync')) return void response.writeHead(503).end('{}');
  const report = JSON.parse(text) as SyncRequest;
  say({ streams: report.streams });
  await new Promise((resolve) => setTimeout(resolve, TURN_MS));
  const { version, leases } = JSON.parse(readFileSync(leasesFile, 'utf8')) as { version: number; leases: Lease[] };
  const answer: SyncAnswer = {
    version,
    leases: report.knownVersion < version ? leases : null,
    acceptedEvents: report.events.map((e) => e.id),
  };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
});
server.listen(0, address, () => {
  const at = server.address();
  if (at !== null && typeof at === 'object') say({ port: at.port });
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
