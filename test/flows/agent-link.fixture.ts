/** Fixture: a fake Slurm agent on the real link: openAgentLink with a scripted `serve`. No Slurm anywhere; what it knows is a list of records. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.ts';
import type { TestScope } from '../../src/database/testing.ts';
import { openAgentLink, type RunningAgentLink } from '../../src/slurm/agent/agent-link.ts';
import type { ActInput, ActName, JobRecord } from '../../src/slurm/contract/index.ts';
import { SlurmFailure } from '../../src/slurm/contract/index.ts';

export interface FakeAgent {
  readonly link: RunningAgentLink;
  readonly records: JobRecord[];
  readonly acts: ActName[];
  readonly log: string[];
  /** Adds a record with the next version and says so. */
  add(over: Partial<JobRecord> & { readonly key: string }): JobRecord;
}

export interface FakeAgentOptions {
  readonly urls: readonly string[];
  readonly bearer: string;
  readonly cluster: string;
  readonly instance?: string;
  readonly serve?: (act: ActName, input: unknown) => Promise<unknown>;
}

export function fakeRecord(over: Partial<JobRecord> & { readonly key: string }): JobRecord {
  return {
    version: 1,
    nativeId: '1',
    name: 'job',
    project: 'demo',
    user: 'ada',
    unixUser: 'u-demo',
    account: 'demo',
    tier: 'batch',
    partition: 'main',
    state: 'queued',
    reasonCode: 'Priority',
    reason: 'waiting: others go first',
    nodes: 1,
    slotsPerNode: 2,
    timeLimitSeconds: 60,
    requeue: false,
    submittedAtMs: 1,
    attempts: [],
    ...over,
  };
}

export function startFakeAgent(t: TestScope, options: FakeAgentOptions): FakeAgent {
  const dir = mkdtempSync(join(tmpdir(), 'beamway-agent-'));
  const linkFile = join(dir, 'link.json');
  writeFileSync(linkFile, JSON.stringify({ urls: options.urls, bearer: options.bearer }), { mode: 0o600 });
  const records: JobRecord[] = [];
  const acts: ActName[] = [];
  const log: string[] = [];
  const { instance = 'one' } = options;
  const note = (fields: object, text: string): void => void log.push(`${text} ${JSON.stringify(fields)}`);
  const link = openAgentLink({
    linkFile,
    cluster: options.cluster,
    instance,
    version: () => records.length,
    async serve(act, input) {
      acts.push(act);
      if (options.serve !== undefined) return options.serve(act, input);
      return fakeServe(records, instance, { act, input });
    },
    clock: systemClock,
    log: { info: note, warn: note },
  });
  t.after(async () => {
    await link.stop();
    await rm(dir, { recursive: true, force: true });
  });
  return {
    link,
    records,
    acts,
    log,
    add(over) {
      const record = fakeRecord({ nativeId: String(100 + records.length), ...over, version: records.length + 1 });
      records.push(record);
      link.changed();
      return record;
    },
  };
}

async function fakeServe(
  records: JobRecord[],
  instance: string,
  { act, input }: { readonly act: ActName; readonly input: unknown },
): Promise<unknown> {
  if (act === 'nodes')
    return {
      nodes: [
        {
          name: 'c1',
          slots: 4,
          free: 3,
          memoryMiB: 1,
          gres: '',
          partitions: [],
          state: 'up',
          nativeState: '',
          reason: '',
        },
      ],
    };
  if (act === 'changes') {
    const asked = input as ActInput<'changes'>;
    const complete = asked.instance !== instance;
    const jobs = records.filter((r) => complete || r.version > asked.after);
    return { instance, version: records.length, complete, jobs };
  }
  if (act === 'show') {
    const record = records.findLast((r) => r.key === (input as ActInput<'show'>).key);
    if (record !== undefined) return record;
  }
  throw new SlurmFailure({ kind: 'not-found', message: `the fake agent does no ${act}` });
}
