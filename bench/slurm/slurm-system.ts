/**
 * The whole system on a real Slurm, for the figures of this folder: Slurm, signer, agent and control plane as at a facility, on one machine. Started once a run, ended with it.
 * Gives ways to ask both sides: the gateway, and slurmrestd itself with a token minted here.
 */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mintJwt } from '../../src/slurm/authority/mint-jwt.ts';
import { type ApiServer, type Bearer, startApiServer } from '../../test/flows/api-server.ts';
import { startAgent } from '../../test/servers/slurm/start-agent.ts';
import { type SlurmServer, startSlurm } from '../../test/servers/slurm/start-slurm.ts';
import type { BenchContext } from '../figure.ts';

export interface SlurmSystem {
  readonly slurm: SlurmServer;
  readonly api: ApiServer;
  readonly token: Bearer;
  /** Everybody may write there. */
  readonly marks: string;
  /** POST job/submit of slurmrestd v0.0.38, as bw-demo. Gives the id. */
  restSubmit(job: object, script: string): Promise<number>;
  /** POST of a job. Gives the id. Throws where it is not accepted. */
  submit(body: object, key?: string): Promise<string>;
}

let running: Promise<SlurmSystem> | undefined;

export function slurmSystem(context: BenchContext): Promise<SlurmSystem> {
  running ??= begin(context);
  return running;
}

async function begin(context: BenchContext): Promise<SlurmSystem> {
  const place = mkdtempSync(join(tmpdir(), 'beamway-bench-slurm-'));
  chmodSync(place, 0o755);
  context.defer(() => rmSync(place, { recursive: true, force: true }));
  const scope = { after: (action: () => Promise<void>) => context.defer(action) };
  const slurm = await startSlurm({ dir: join(place, 'slurm'), cluster: 'lab', nodes: 4, operators: ['beamway-slurm'] });
  scope.after(() => slurm.stop());
  const api = await startApiServer(scope, { slurmClusters: ['lab'], slurmEnvironments: { ace: 'lab' } });
  const bearer = await api.agent('lab');
  const agent = await startAgent({
    slurm,
    dir: join(place, 'agent'),
    cluster: 'lab',
    instance: 'bench',
    link: { url: api.url, bearer: bearer.value },
    users: { demo: 'bw-demo' },
  });
  scope.after(() => agent.stop());
  const marks = join(place, 'marks');
  mkdirSync(marks);
  chmodSync(marks, 0o777);
  const token = await api.token({ environments: ['ace'] });
  const key = readFileSync(slurm.jwtKeyFile);
  const system: SlurmSystem = {
    slurm,
    api,
    token,
    marks,
    async restSubmit(job, script) {
      const jwt = mintJwt(key, { user: 'bw-demo', nowMs: Date.now(), lifetimeSeconds: 60 }).token;
      const reply = await fetch(`${slurm.restUrl}/slurm/v0.0.38/job/submit`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-slurm-user-name': 'bw-demo', 'x-slurm-user-token': jwt },
        body: JSON.stringify({ script, job }),
      });
      const { job_id: id, errors } = (await reply.json()) as { readonly job_id?: number; readonly errors?: unknown };
      if (id === undefined) throw new Error(JSON.stringify(errors));
      return id;
    },
    async submit(body, idempotencyKey) {
      const asked = {
        method: 'POST',
        bearer: token,
        body,
        ...(idempotencyKey === undefined ? {} : { key: idempotencyKey }),
      };
      const reply = await api.ask('/beamway/v1/jobs', asked);
      if (reply.status !== 201) throw new Error(`${reply.status} ${reply.text}`);
      return String(reply.body['id']);
    },
  };
  for (;;) {
    const { body } = await api.ask('/beamway/v1/clusters', { bearer: token });
    if (JSON.stringify(body).includes('"n4"')) return system;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export const REST_JOB = {
  name: 'bench',
  account: 'demo',
  qos: 'batch',
  nodes: '1',
  tasks: 1,
  time_limit: 5,
  current_working_directory: '/tmp',
  standard_output: '/dev/null',
  environment: { PATH: '/usr/bin:/bin' },
};
