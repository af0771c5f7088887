/**
 * What a node must remember without the control plane: its leases, the ports and credentials it gave out, when it was last linked, and
 * audit events not yet delivered. One file, mode 0600, replaced atomically; after a crash the node goes on from it.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { leaseSchema, nodeEventSchema } from '../api/contract/node-link.ts';

const claimedSchema = z.strictObject({
  claim: z.string(),
  attempt: z.int(),
  credential: z.strictObject({
    id: z.string(),
    stream: z.string(),
    role: z.enum(['producer', 'consumer']),
    username: z.string(),
    passwordDigest: z.string(),
  }),
});

const memorySchema = z.strictObject({
  version: z.int(),
  leases: z.array(leaseSchema),
  /** When the control plane last answered, milliseconds since the Unix epoch. */
  linkedAtMs: z.number(),
  /** Where claims are exchanged: jobs that wait in a queue were told this port. 0: none yet. */
  claimPort: z.int().min(0).max(65_535).default(0),
  ports: z.record(z.string(), z.strictObject({ port: z.int(), consumerPort: z.int().optional() })),
  /** What producers put in over each stream's whole life, and the quota that was last said to be used up. */
  usage: z.record(z.string(), z.strictObject({ bytes: z.int(), messages: z.int(), reached: z.string() })).default({}),
  claimed: z.array(claimedSchema),
  events: z.array(nodeEventSchema),
});

export type Claimed = z.output<typeof claimedSchema>;
export type NodeMemory = z.output<typeof memorySchema>;

const EMPTY: NodeMemory = {
  ...{ version: 0, leases: [], linkedAtMs: 0, claimPort: 0, ports: {}, usage: {}, claimed: [], events: [] },
};

export interface LeaseFile {
  read(): NodeMemory;
  /** Durable when it returns: written aside, synced, renamed. */
  write(memory: NodeMemory): void;
}

/** A file that is damaged counts as empty: the control plane answers with everything on the next sync. */
export function leaseFile(stateDir: string, onDamage: (detail: string) => void): LeaseFile {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const path = join(stateDir, 'leases.json');
  return {
    read() {
      let text: string;
      try {
        text = readFileSync(path, 'utf8');
      } catch {
        return EMPTY;
      }
      try {
        return memorySchema.parse(JSON.parse(text));
      } catch (cause) {
        onDamage(cause instanceof Error ? cause.message : String(cause));
        return EMPTY;
      }
    },
    write(memory) {
      const aside = `${path}.new`;
      const fd = openSync(aside, 'w', 0o600);
      try {
        // All of it or an error: a nearly full disk takes a part of a single write.
        writeFileSync(fd, JSON.stringify(memory));
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(aside, path);
    },
  };
}
