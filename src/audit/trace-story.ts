/**
 * The whole story around one id: a request, a bearer, a job, a stream or a run. What a request made carries its id ever after (jobs, streams, the node's
 * events on them), so two steps join bearer, call, job and bytes.
 */
import type { Queries } from '../database/index.ts';
import type { AuditRecord } from './record.ts';
import { recordsOf, type TraceKeys } from './trace-store.ts';

const MOST_RECORDS = 5000;
/** Ids of one step; a bearer that made more is shown its newest. */
const MOST_IDS = 500;
const KINDS: Readonly<Record<string, string>> = { tok: 'token', job: 'job', str: 'stream', run: 'run' };

export interface Story {
  /** In the order they were recorded. */
  readonly records: readonly AuditRecord[];
  /** True where the story is longer than one answer. */
  readonly cut: boolean;
}

export async function traceStory(db: Queries, id: string, project?: string): Promise<Story> {
  const found = new Map<number, AuditRecord>();
  let cut = false;
  const add = async (keys: TraceKeys): Promise<readonly AuditRecord[]> => {
    const records = await recordsOf(db, keys, { project, limit: MOST_RECORDS + 1 });
    if (records.length > MOST_RECORDS) cut = true;
    for (const record of records) found.set(record.sequence, record);
    return records;
  };
  const seeds = await add({ requests: [id], callers: [id], resources: namesOf(id) });
  const ids = (of: (record: AuditRecord) => string | undefined, records: Iterable<AuditRecord>): readonly string[] => {
    const all = [...new Set([...records].flatMap((r) => of(r) ?? []))];
    if (all.length > MOST_IDS) cut = true;
    return all.slice(-MOST_IDS);
  };
  await add({ requests: ids((r) => r.requestId, seeds) });
  // What these requests made or were about, and how the bearers they came with were made.
  const things = ids((r) => idIn(r.resource), found.values());
  const bearers = ids(
    (r) => (r.callerKind === 'token' || r.callerKind === 'session' ? r.callerId : undefined),
    found.values(),
  );
  await add({ resources: [...things, ...bearers].flatMap(namesOf) });
  const records = [...found.values()].sort((a, b) => a.sequence - b.sequence);
  return { records: records.slice(0, MOST_RECORDS), cut: cut || records.length > MOST_RECORDS };
}

function namesOf(id: string): readonly string[] {
  const kind = KINDS[id.slice(0, 3)];
  return kind === undefined || id[3] !== '_' ? [] : [id, `${kind}/${id}`];
}

/** `job_…` of `job/job_…` and of `job_…`; undefined for things that no story follows. */
function idIn(resource: string): string | undefined {
  const id = resource.slice(resource.lastIndexOf('/') + 1);
  return namesOf(id).length === 0 ? undefined : id;
}
