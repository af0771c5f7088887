/**
 * Fixture: a Slurm that is PLAYED on the real link of a cluster. It runs nothing and keeps its jobs in memory; a test says what becomes of them and what they write. That the real agent
 * and a real Slurm answer so is shown by src/compute/slurm/ and src/slurm/.
 */
import { setImmediate } from 'node:timers/promises';
import type { TestScope } from '../../src/database/testing.ts';
import type { ActInput, ActName, JobRecord } from '../../src/slurm/contract/index.ts';
import { SlurmFailure } from '../../src/slurm/contract/index.ts';
import { type FakeAgent, fakeRecord, startFakeAgent } from './agent-link.fixture.ts';
import { type ApiServer, eventually } from './api-server.ts';

export interface PlayedSlurm {
  readonly agent: FakeAgent;
  /** What was asked, with its input, oldest first. */
  readonly asked: { readonly act: ActName; readonly input: unknown }[];
  /** Output by job and attempt, such as `job_….1`. */
  readonly written: Map<string, string>;
  /** Thrown by each act but `changes` until it is undefined again. */
  failWith: SlurmFailure | undefined;
  /** What becomes of a job. */
  turn(key: string, over: Partial<JobRecord>): void;
}

const ENDED: readonly JobRecord['state'][] = ['completed', 'failed', 'cancelled', 'timed-out', 'node-failed', 'lost'];
/** A history of three jobs: one of ours, one that came past us. */
const AT_MS = Date.UTC(2026, 0, 1);

export async function playSlurm(t: TestScope, api: ApiServer, cluster: string): Promise<PlayedSlurm> {
  const records: JobRecord[] = [];
  let version = 0;
  const put = (record: JobRecord): JobRecord => {
    version += 1;
    const next = { ...record, version };
    const at = records.findIndex((r) => r.key === record.key);
    records.splice(at < 0 ? records.length : at, at < 0 ? 0 : 1, next);
    played.agent.link.changed();
    return next;
  };
  const find = (input: unknown): JobRecord => {
    const { key } = input as { readonly key: string };
    const record = records.find((r) => r.key === key);
    if (record === undefined) throw new SlurmFailure({ kind: 'not-found', message: `no job ${key}` });
    return record;
  };
  const serve = async (act: ActName, input: unknown): Promise<unknown> => {
    await setImmediate();
    if (act === 'changes') {
      const { instance, after } = input as ActInput<'changes'>;
      const complete = instance !== 'played';
      return { instance: 'played', version, complete, jobs: records.filter((r) => complete || r.version > after) };
    }
    played.asked.push({ act, input });
    if (played.failWith !== undefined) throw played.failWith;
    switch (act) {
      case 'submit':
        return records.find((r) => r.key === (input as ActInput<'submit'>).key) ?? put(recordOf(input, records.length));
      case 'show':
        return find(input);
      case 'cancel': {
        const job = find(input);
        if (ENDED.includes(job.state) || (input as ActInput<'cancel'>).signal !== undefined) return job;
        return put({ ...job, state: 'cancelled', reason: 'cancelled' });
      }
      case 'hold':
        return put({ ...find(input), state: 'held', reasonCode: 'JobHeldUser', reason: 'held by its user' });
      case 'release':
      case 'requeue':
        return put({ ...find(input), state: 'queued', reasonCode: 'None', reason: '' });
      case 'update':
        return put(find(input));
      case 'output': {
        const { key, attempt, offset, limit } = input as ActInput<'output'>;
        const bytes = Buffer.from(played.written.get(`${key}.${attempt}`) ?? '');
        return { bytes: bytes.subarray(offset, offset + limit).toString('base64'), size: bytes.length };
      }
      default:
        return factsOf(act, input, records);
    }
  };
  const bearer = (await api.agent(cluster)).value;
  const played: PlayedSlurm = {
    agent: startFakeAgent(t, { urls: [api.url], bearer, cluster, serve }),
    asked: [],
    written: new Map(),
    failWith: undefined,
    turn: (key, over) => void put({ ...find({ key }), ...over }),
  };
  await eventually('the played Slurm is linked', async () =>
    api.server.schedulers
      .get(cluster)
      ?.nodes()
      .catch(() => undefined),
  );
  return played;
}

function recordOf(input: unknown, before: number): JobRecord {
  const { key, name, tier, nodes, slotsPerNode, timeLimitSeconds, requeue, hold, asker, array } =
    input as ActInput<'submit'>;
  const of = { key, name, tier, nodes, slotsPerNode, timeLimitSeconds, requeue };
  const total = array === undefined ? 0 : array.last - array.first + 1;
  const tasks = { total, waiting: total, running: 0, completed: 0, failed: 0 };
  return fakeRecord({
    ...of,
    project: asker.project,
    user: asker.person,
    nativeId: String(100 + before),
    state: hold === true ? 'held' : 'queued',
    ...(array === undefined ? {} : { tasks }),
  });
}

function factsOf(act: ActName, input: unknown, records: readonly JobRecord[]): unknown {
  const row = { user: 'u-demo', account: 'demo', tier: 'batch', partition: 'main', nodes: 1 };
  switch (act) {
    case 'nodes':
      return {
        nodes: [
          {
            ...{ name: 'c1', slots: 4, free: 3, memoryMiB: 1024, gres: 'gpu:2', partitions: ['main'] },
            ...{ state: 'up', nativeState: 'MIXED', reason: '' },
          },
        ],
      };
    case 'partitions':
      return { partitions: [{ name: 'main', default: true, state: 'up', nodes: 1, slots: 4, maxTimeSeconds: 3600 }] };
    case 'reservations':
      return {
        reservations: [
          {
            ...{ name: 'maint', startMs: AT_MS, endMs: AT_MS + 1000, nodes: ['c1'], nodeCount: 1, partition: '' },
            ...{ flags: ['MAINT'], accounts: ['secret'], users: ['root'] },
          },
        ],
      };
    case 'diagnostics':
      return {
        ...{ controller: 'up', database: 'up', slurmVersion: '22.05.8', jobsRunning: 1, jobsPending: 2 },
        ...{ rpcsServed: 3, backfillDepth: 4, lastCycleMicroseconds: 5, agentQueue: 0 },
      };
    case 'history': {
      const { limit, after } = input as ActInput<'history'>;
      const all = [
        ...records.map((r) => ({ ...row, nativeId: r.nativeId, key: r.key, name: r.name })),
        { ...row, nativeId: '7', name: 'by-sbatch' },
      ].map((r) => ({ ...r, state: 'COMPLETED', exitCode: 0, submittedAtMs: AT_MS, slots: 1 }));
      const from = Number(after ?? 0);
      return { rows: all.slice(from, from + limit), next: from + limit < all.length ? String(from + limit) : null };
    }
    case 'foreign':
      return {
        jobs: [{ ...row, nativeId: '7', name: 'by-sbatch', state: 'RUNNING', reason: 'None', submittedAtMs: AT_MS }],
      };
    case 'terminal':
      return {};
    default:
      throw new SlurmFailure({ kind: 'not-found', message: `the played Slurm does no ${act}` });
  }
}
