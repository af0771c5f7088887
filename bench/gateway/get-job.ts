/**
 * What the front door costs: a job read, and a mutation, with 1,000 tokens of eight projects (verify, limit, validate, authorize, audit) against
 * the same routes in bare Fastify, each in a process of its own, on one database. Issue 3, figures: reads at least 0.5 x.
 * The mutation cancels a job that has ended: its work is the same one read, so all of the difference is what surrounds a mutation, two records
 * of the audit log written to disk above all. A mutation that writes itself comes off better.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createClient } from '../../clients/typescript/src/index.ts';
import { systemClock } from '../../src/clock.ts';
import { EXAMPLE_FACILITY } from '../../src/config.ts';
import { openDatabase, silentLog, startEmbedded } from '../../src/database/index.ts';
import { loadFacility } from '../../src/facility/index.ts';
import { issueToken, loadTokenRules, systemCaller } from '../../src/identity/index.ts';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { isResolved, median, medianInterval, runPaired } from '../paired-rounds.ts';
import { type LoopRequest, requestLoop } from './request-loop.ts';

const CONNECTIONS = 16;
const ROUND_MS = 2500;
const TOKENS = 1000;
const PROJECTS = Array.from({ length: 8 }, (_, i) => `bench${i + 1}`);

type Kind = 'gateway' | 'bare';

/** Starts `programs/serve.ts` and gives its URL; it ends with the run. */
export async function serve(context: BenchContext, kind: Kind, given: object): Promise<string> {
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

/** The example facility with eight more projects. */
function writeFacility(stateDir: string): string {
  const facilityDir = join(stateDir, 'facility');
  cpSync(EXAMPLE_FACILITY, facilityDir, { recursive: true });
  // The list of projects is the last of the file.
  for (const name of PROJECTS)
    appendFileSync(
      join(facilityDir, 'facility.yaml'),
      `  - { name: ${name}, title: Bench, environments: [ace], tiers: [batch], limits: { streams: 1, queuedJobs: 100 } }\n`,
    );
  return facilityDir;
}

interface Setting {
  readonly url: Readonly<Record<Kind, string>>;
  /** One for each token: of a job of its project. */
  readonly targets: readonly { readonly job: string; readonly token: string }[];
}

async function prepare(context: BenchContext): Promise<Setting> {
  const stateDir = mkdtempSync(join(tmpdir(), 'beamway-bench-gateway-'));
  context.defer(() => rmSync(stateDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  const facilityDir = writeFacility(stateDir);
  const embedded = await startEmbedded({ stateDir, clock: systemClock, log: silentLog });
  context.defer(() => embedded.stop());
  const { connection, ownerConnection } = embedded;
  const given = { connection, ownerConnection, stateDir, facilityDir };
  const gateway = await serve(context, 'gateway', given);
  const bare = await serve(context, 'bare', given);

  const database = openDatabase({ embedded }, { clock: systemClock, log: silentLog, maxConnections: 1 });
  const facility = loadFacility(facilityDir);
  const issue = { db: database.kysely, clock: systemClock, facility, rules: loadTokenRules(facilityDir) };
  const tokens: { readonly project: string; readonly value: string }[] = [];
  for (let i = 0; i < TOKENS; i++) {
    const project = PROJECTS[i % PROJECTS.length] ?? '';
    const { value } = await issueToken(issue, systemCaller('bench'), {
      project,
      environments: ['ace'],
      scopes: ['job:read', 'job:submit', 'job:cancel'],
      lifetimeSeconds: 3600,
      sources: [],
      renewableDays: 1,
    });
    tokens.push({ project, value });
  }
  await database.close();
  const jobs = new Map<string, string>();
  for (const { project, value } of tokens.slice(0, PROJECTS.length)) {
    const client = createClient({ url: gateway, token: value });
    const job = await client.call('job.submit', {
      body: { project, environment: 'ace', script: '#!/bin/sh\nexit 0\n' },
    });
    while ((await client.call('job.show', { params: { id: job.id } })).state !== 'completed')
      await new Promise((resolve) => setTimeout(resolve, 50));
    jobs.set(project, job.id);
  }
  return {
    url: { gateway, bare },
    targets: tokens.map(({ project, value }) => ({ job: jobs.get(project) ?? '', token: value })),
  };
}

async function measureRoute(
  context: BenchContext,
  method: LoopRequest['method'],
  of: Pick<BenchFigure, 'name'> & { readonly goal?: { readonly min: number } },
): Promise<FigureOutcome> {
  const { url, targets } = await prepare(context);
  const measure = (kind: Kind): Promise<number> =>
    requestLoop({
      url: url[kind],
      requests: targets.map(({ job, token }) => ({
        method,
        path: `/beamway/v1/jobs/${job}`,
        ...(kind === 'gateway' ? { token } : {}),
      })),
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
      figure: of.name,
      value: median(ratios),
      unit: 'ratio',
      comparator: 'bare-fastify-same-route',
      ...(of.goal === undefined ? {} : { goal: of.goal }),
      rounds: rounds.length,
      spread: medianInterval(ratios),
      resolved: isResolved(ratios),
      detail: {
        gatewayPerSecond: Math.round(median(rounds.map((r) => r.gateway))),
        barePerSecond: Math.round(median(rounds.map((r) => r.bare))),
        tokens: TOKENS,
        projects: PROJECTS.length,
        connections: CONNECTIONS,
      },
    },
  };
}

export const figures: readonly BenchFigure[] = [
  {
    name: 'gateway-get-job',
    group: 'gateway',
    title: 'GET of a job with 1,000 tokens / the same route in bare Fastify',
    run: (context) => measureRoute(context, 'GET', { name: 'gateway-get-job', goal: { min: 0.5 } }),
  },
  {
    name: 'gateway-cancel-job',
    group: 'gateway',
    title: 'DELETE (cancel) of an ended job, audited, with 1,000 tokens / the same route in bare Fastify',
    run: (context) => measureRoute(context, 'DELETE', { name: 'gateway-cancel-job' }),
  },
];
