/**
 * One server under measurement, in a process of its own: `gateway` is the control plane as `up` runs it, `bare` is the same route in bare Fastify:
 * the same rows read by the same queries through a pool of the same size, the same view, no token, limit, policy or audit.
 * Limits are on, a thousand times the example's. argv: kind, JSON of {connection, ownerConnection, stateDir, facilityDir?}. Prints one JSON line {url}; SIGTERM ends it.
 */
import Fastify from 'fastify';
import { jobView } from '../../../src/api/routes/job-routes.ts';
import { systemClock } from '../../../src/clock.ts';
import { jobById } from '../../../src/compute/index.ts';
import { EXAMPLE_FACILITY } from '../../../src/config.ts';
import { type DatabaseTarget, openDatabase, silentLog } from '../../../src/database/index.ts';
import { startServer } from '../../../src/server.ts';

const POOL = 16;
const [kind, given = '{}'] = process.argv.slice(2);
const {
  stateDir,
  facilityDir = EXAMPLE_FACILITY,
  ...embedded
} = JSON.parse(given) as { stateDir: string; facilityDir?: string } & Extract<
  DatabaseTarget,
  { embedded: unknown }
>['embedded'];
const listen = { host: '127.0.0.1', port: 0 };

async function gateway(): Promise<string> {
  const server = await startServer({
    stateDir,
    facilityDir,
    listen,
    target: { embedded },
    limitFactor: 1000,
    logLevel: 'warn',
  });
  process.once('SIGTERM', () => void server.stop({ endJobs: true }).then(() => process.exit()));
  return server.url;
}

async function bare(): Promise<string> {
  const database = openDatabase({ embedded }, { clock: systemClock, log: silentLog, maxConnections: POOL });
  const app = Fastify();
  // DELETE of an ended job changes nothing: both are the same read.
  app.route<{ Params: { id: string } }>({
    method: ['GET', 'DELETE'],
    url: '/beamway/v1/jobs/:id',
    async handler(request, reply) {
      const job = await jobById(database.kysely, request.params.id);
      if (job === undefined) return reply.code(404).send({});
      return reply.type('application/json').send(JSON.stringify(jobView(job)));
    },
  });
  process.once(
    'SIGTERM',
    () =>
      void app
        .close()
        .then(() => database.close())
        .then(() => process.exit()),
  );
  return app.listen(listen);
}

process.stdout.write(`${JSON.stringify({ url: await (kind === 'bare' ? bare() : gateway()) })}\n`);
