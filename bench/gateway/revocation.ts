/**
 * From revocation to refusal with three replicas, each a process of its own, on one database: from the moment the revocation is sent to one of them until the
 * last of them has refused the token to a client that asks all the time. Beside it, from the same revocations: a client that reads the token's row from the
 * database each time, which is what no cache at all would give. Issue 3, figures: p99 at most 1 s.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BeamwayProblem, type Client, createClient } from '../../clients/typescript/src/index.ts';
import { systemClock } from '../../src/clock.ts';
import { openDatabase, silentLog, startEmbedded } from '../../src/database/index.ts';
import { issueSession, tokenById } from '../../src/identity/index.ts';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { serve } from './get-job.ts';

const REPLICAS = 3;
const REVOCATIONS = 200;
/** Between two questions of one client; the resolution of what is measured. */
const ASK_EVERY_MS = 2;
/** Revocations fall on every phase of the replicas' reading of the epoch (every 250 ms). */
const SPREAD_MS = 300;

const pause = (ms: number): Promise<void> => new Promise((resolve) => void systemClock.after(ms, resolve));

/** Asks until `gone`; the time of that answer, of the monotonic clock. */
async function askUntil(gone: () => Promise<boolean>): Promise<number> {
  while (!(await gone())) await pause(ASK_EVERY_MS);
  return systemClock.monotonic();
}

function refuses(client: Client): () => Promise<boolean> {
  return () =>
    client.call('self.show').then(
      () => false,
      (thrown: unknown) => {
        if (thrown instanceof BeamwayProblem && thrown.code === 'token-revoked') return true;
        throw thrown;
      },
    );
}

function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
}

async function run(context: BenchContext): Promise<FigureOutcome> {
  const folder = (): string => {
    const made = mkdtempSync(join(tmpdir(), 'beamway-bench-revocation-'));
    context.defer(() => rmSync(made, { recursive: true, force: true }));
    return made;
  };
  const embedded = await startEmbedded({ stateDir: folder(), clock: systemClock, log: silentLog });
  context.defer(() => embedded.stop());
  const { connection, ownerConnection } = embedded;
  const urls: string[] = [];
  const folders = Array.from({ length: REPLICAS }, folder);
  for (const [i, stateDir] of folders.entries()) {
    // Every replica needs the key files of the first one.
    if (i > 0) cpSync(join(folders[0] ?? '', 'keys'), join(stateDir, 'keys'), { recursive: true });
    urls.push(await serve(context, 'gateway', { connection, ownerConnection, stateDir }));
  }
  const database = openDatabase({ embedded }, { clock: systemClock, log: silentLog, maxConnections: 2 });
  context.defer(() => database.close());
  const db = database.kysely;
  const admin = await issueSession(
    { db, clock: systemClock },
    { subject: 'bench', roles: ['administrator'], lifetimeSeconds: 3600, by: 'bench' },
  );
  const staff = createClient({ url: urls[0] ?? '', token: admin.value });

  const refused: number[] = [];
  const selected: number[] = [];
  for (let i = 0; i < REVOCATIONS; i++) {
    const { id, value } = await staff.call('token.mint', {
      body: { project: 'demo', environments: ['ace'], scopes: ['job:read'], lifetimeSeconds: 3600 },
    });
    const clients = urls.map((url) => createClient({ url, token: value }));
    for (const client of clients) await client.call('self.show');
    const asked = clients.map((client) => askUntil(refuses(client)));
    const read = askUntil(async () => (await tokenById(db, id))?.revokedAt != null);
    await pause(Math.random() * SPREAD_MS);
    const sentMs = systemClock.monotonic();
    await staff.call('token.revoke', { params: { id } });
    refused.push(Math.max(...(await Promise.all(asked))) - sentMs);
    selected.push((await read) - sentMs);
    if ((i + 1) % 50 === 0) context.log(`${i + 1} of ${REVOCATIONS} revocations`);
  }
  const ms = (values: readonly number[], part: number): number => Math.round(percentile(values, part));
  return {
    kind: 'measured',
    result: {
      figure: 'revocation-to-refusal',
      value: ms(refused, 0.99),
      unit: 'ms (p99)',
      goal: { max: 1000 },
      rounds: REVOCATIONS,
      spread: [Math.round(Math.min(...refused)), Math.round(Math.max(...refused))],
      detail: {
        p50Ms: ms(refused, 0.5),
        p99Ms: ms(refused, 0.99),
        rowReadEachTimeP50Ms: ms(selected, 0.5),
        rowReadEachTimeP99Ms: ms(selected, 0.99),
        replicas: REPLICAS,
        askEveryMs: ASK_EVERY_MS,
      },
    },
  };
}

export const figures: readonly BenchFigure[] = [
  {
    name: 'revocation-to-refusal',
    group: 'gateway',
    title: 'From revoking a token to its refusal by the last of three replicas',
    run,
  },
];
