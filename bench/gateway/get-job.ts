/**
 * What the front door costs: `GET` of a job with a token (verify, limit, validate, authorize, read, problem and audit paths armed) against the
 * same route in bare Fastify, each in a process of its own, on one database. Issue 2, figures: at least 0.5 x.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createClient } from '../../clients/typescript/src/index.ts';
import { systemClock } from '../../src/clock.ts';
import { EXAMPLE_FACILITY } from '../../src/config.ts';
import { openDatabase, silentLog, startEmbedded } from '../../src/database/index.ts';
import { loadFacility } from '../../src/facility/index.ts';
import { issueSession } from '../../src/identity/index.ts';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { isResolved, median, medianInterval, runPaired } from '../paired-rounds.ts';
import { requestLoop } from './request-loop.ts';

const CONNECTIONS = 16;
const ROUND_MS = 2500;
const TOKENS = 100;

async function serve(context: BenchContext, kind: 'gateway' | 'bare', given: object): Promise<string> {
  const program = join(import.meta.dirname, 'programs', 'serve.ts');
  const child = context.track(
    spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, kind, JSON.stringify(given)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
  context.defer(async () => {
    if (child.exitCode === null && child.kill('SIGTERM')) await once(child, 'exit');
  });
  if (child.stdout === null) throw new Error('no output to read');
  for await (const line of createInterface({ input: child.stdout })) return (JSON.parse(line) as { url: string }).url;
  throw new Error(`${kind} ended before it listened`);
}

async function run(context: BenchContext): Promise<FigureOutcome> {
  const stateDir = mkdtempSync(join(tmpdir(), 'beamway-bench-gateway-'));
  context.defer(() => rmSync(stateDir, { recursive: true, force: true }));
  const embedded = await startEmbedded({ stateDir, clock: systemClock, log: silentLog });
  context.defer(() => embedded.stop());
  const { connection, ownerConnection } = embedded;
  const gateway = await serve(context, 'gateway', { connection, ownerConnection, stateDir });
  const bare = await serve(context, 'bare', { connection, ownerConnection, stateDir });

  const database = openDatabase({ embedded }, { clock: systemClock, log: silentLog, maxConnections: 1 });
  const issue = { db: database.kysely, clock: systemClock, facility: loadFacility(EXAMPLE_FACILITY) };
  const admin = await issueSession(issue, {
    subject: 'bench',
    roles: ['administrator'],
    lifetimeSeconds: 3600,
    by: 'bench',
  });
  await database.close();
  const client = createClient({ url: gateway, token: admin.value });
  const tokens: string[] = [];
  for (let i = 0; i < TOKENS; i++) {
    const minted = await client.call('token.mint', {
      body: { project: 'demo', environments: ['ace'], scopes: ['job:read', 'job:submit'], lifetimeSeconds: 3600 },
    });
    tokens.push(minted.value);
  }
  const job = await client.call('job.submit', {
    body: { project: 'demo', environment: 'ace', script: '#!/bin/sh\nexit 0\n' },
  });
  while ((await client.call('job.show', { params: { id: job.id } })).state !== 'completed')
    await new Promise((resolve) => setTimeout(resolve, 50));

  const path = `/beamway/v1/jobs/${job.id}`;
  const measure = (kind: 'gateway' | 'bare'): Promise<number> =>
    requestLoop({
      url: kind === 'gateway' ? gateway : bare,
      path,
      tokens: kind === 'gateway' ? tokens : [],
      connections: CONNECTIONS,
      forMs: ROUND_MS,
    });
  for (const kind of ['gateway', 'bare'] as const) await measure(kind); // warms code, caches and connections
  const { rounds } = await runPaired(context, {
    paths: ['gateway', 'bare'],
    measure,
    enough: (so) => isResolved(so.map((r) => r.gateway / r.bare)),
    describe: (perSecond) => `${Math.round(perSecond)}/s`,
  });
  const ratios = rounds.map((r) => r.gateway / r.bare);
  return {
    kind: 'measured',
    result: {
      figure: 'gateway-get-job',
      value: median(ratios),
      unit: 'ratio',
      comparator: 'bare-fastify-same-route',
      goal: { min: 0.5 },
      rounds: rounds.length,
      spread: medianInterval(ratios),
      resolved: isResolved(ratios),
      detail: {
        gatewayPerSecond: Math.round(median(rounds.map((r) => r.gateway))),
        barePerSecond: Math.round(median(rounds.map((r) => r.bare))),
        tokens: TOKENS,
        connections: CONNECTIONS,
      },
    },
  };
}

export const figures: readonly BenchFigure[] = [
  {
    name: 'gateway-get-job',
    group: 'gateway',
    title: 'GET of a job with a token / the same route in bare Fastify',
    run,
  },
];
