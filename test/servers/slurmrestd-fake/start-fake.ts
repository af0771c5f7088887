/**
 * A FAKE slurmrestd of one version, as the real ones of 23.02 and later do not run here. Stricter than they: a wrong type is refused, where they warn and convert. Like them it
 * ignores an unknown field with a warning. Says in its `meta` that it is a fake. Owns its port and what was submitted.
 */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type FakeVersion, JOB_SCHEMAS } from './schemas.ts';

export interface FakeSlurmrestd {
  readonly url: string;
  /** `job` of each accepted submission, and its script. */
  readonly submitted: { readonly job: Record<string, unknown>; readonly script: unknown }[];
  /** Paths with their queries of DELETE. */
  readonly cancelled: string[];
  /** What the next submissions are answered with in place of a job. */
  refuse: { readonly status: number; readonly error_number: number; readonly error: string } | undefined;
  close(): Promise<void>;
}

const META = { plugin: { type: 'fake', name: 'Beamway test fake, not slurmrestd' }, slurm: { release: 'fake' } };

interface Said {
  readonly status: number;
  readonly body: object;
}

export async function startFakeSlurmrestd(version: FakeVersion): Promise<FakeSlurmrestd> {
  const fake: Omit<FakeSlurmrestd, 'url' | 'close'> = { submitted: [], cancelled: [], refuse: undefined };
  const server = createServer((request, response) => {
    void answer(version, fake, request).then(({ status, body }) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ meta: META, errors: [], warnings: [], ...body }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(fake, {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}

type Memory = Pick<FakeSlurmrestd, 'submitted' | 'cancelled' | 'refuse'>;

async function answer(version: FakeVersion, fake: Memory, request: IncomingMessage): Promise<Said> {
  const at = `${request.method} ${request.url?.split('?')[0]}`;
  if (at === 'GET /openapi/v3')
    return {
      status: 200,
      body: { paths: { [`/slurm/${version}/job/submit`]: {}, [`/slurm/${version}/job/{job_id}`]: {} } },
    };
  if (request.headers['x-slurm-user-name'] === undefined || request.headers['x-slurm-user-token'] === undefined)
    return { status: 401, body: {} };
  if (at.startsWith(`DELETE /slurm/${version}/job/`)) {
    fake.cancelled.push(request.url ?? '');
    return { status: 200, body: {} };
  }
  if (at !== `POST /slurm/${version}/job/submit`) return { status: 404, body: {} };
  return submit(version, fake, await bodyOf(request));
}

interface Submission {
  readonly job?: Record<string, unknown>;
  readonly script?: unknown;
}

function submit(version: FakeVersion, fake: Memory, { job = {}, script }: Submission): Said {
  if (fake.refuse !== undefined) {
    const { status, ...error } = fake.refuse;
    const description = 'Batch job submission failed';
    return { status, body: { job_id: 0, errors: [{ ...error, description, source: 'slurm_submit_batch_job()' }] } };
  }
  const read = JOB_SCHEMAS[version].safeParse(job);
  if (!read.success || typeof script !== 'string') {
    const why = read.success ? 'no script' : read.error.issues.map((i) => `#/job/${i.path.join('/')}: ${i.message}`);
    const error = { error_number: 9202, error: `Unable to parse: ${String(why)}`, description: '', source: '#' };
    return { status: 500, body: { errors: [error] } };
  }
  const unknown = Object.keys(job).filter((key) => !(key in JOB_SCHEMAS[version].shape));
  fake.submitted.push({ job, script });
  const warnings = unknown.map((key) => ({
    description: `Ignoring unknown field "${key}" of type string in DATA_PARSER_JOB_DESC_MSG`,
    source: `#/job/${key}/`,
  }));
  return {
    status: 200,
    body: { job_id: 100 + fake.submitted.length, step_id: 'batch', job_submit_user_msg: '', warnings },
  };
}

async function bodyOf(request: IncomingMessage): Promise<Submission> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return JSON.parse(Buffer.concat(parts).toString('utf8')) as Submission;
}
