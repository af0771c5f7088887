/** The audit log over HTTP. */
import {
  type AuditFilter,
  BrokenChainError,
  checkpointJson,
  checkpointsFrom,
  readCheckpointFile,
  recordAt,
  recordJson,
  recordsPage,
  type SealDeps,
  type TrustedKeys,
  takeCheckpoint,
  traceStory,
  verifyChain,
} from '../../audit/index.ts';
import { Problem } from '../../problems.ts';
import { listedProject } from '../listed-project.ts';
import type { Routes } from '../route.ts';

type AuditRoutes = Pick<
  Routes,
  'audit.list' | 'audit.show' | 'audit.trace' | 'audit.verify' | 'audit.key' | 'audit.checkpoint' | 'audit.checkpoints'
>;

export interface AuditRouteDeps extends SealDeps {
  readonly trusted: TrustedKeys;
  readonly publicKeyPem: string;
}

export function auditRoutes(deps: AuditRouteDeps): AuditRoutes {
  return {
    'audit.list': {
      locate: ({ caller, query }) => ({ resource: listedProject(caller, query.project), label: '' }),
      async handle({ query, located }) {
        const { limit, before, after, since, until, project: _, ...same } = query;
        const { project } = located.resource;
        const filter: AuditFilter = given({
          ...same,
          project,
          since: since === undefined ? undefined : new Date(since),
          until: until === undefined ? undefined : new Date(until),
        });
        const records = await recordsPage(deps.db, { ...filter, ...given({ before, after }), limit });
        return {
          records: records.map(recordJson),
          next: records.length === limit ? (records.at(-1)?.sequence ?? null) : null,
        };
      },
    },
    'audit.show': {
      locate: ({ caller, query }) => ({ resource: listedProject(caller, query.project), label: '' }),
      async handle({ params, located }) {
        const record = await recordAt(deps.db, params.id, located.resource.project);
        if (record === undefined) throw new Problem('not-found', `No record ${params.id}, or none that you may see.`);
        return recordJson(record);
      },
    },
    'audit.trace': {
      locate: ({ caller, query }) => ({ resource: listedProject(caller, query.project), label: '' }),
      async handle({ params, located }) {
        const { records, cut } = await traceStory(deps.db, params.id, located.resource.project);
        return { records: records.map(recordJson), cut };
      },
    },
    'audit.verify': {
      async handle() {
        // The file before the chain: what it knows now, the log must hold then.
        const file = readCheckpointFile(deps.file);
        const report = await verifyChain(deps.db, { trusted: deps.trusted, file });
        const nothing = { first: null, head: null, signedThrough: null, brokenAt: null, type: null, detail: null };
        return { ...nothing, ...report };
      },
    },
    'audit.key': {
      handle: () => ({ keyId: deps.signer.keyId, algorithm: 'ed25519', publicKey: deps.publicKeyPem }),
    },
    'audit.checkpoint': {
      async handle() {
        try {
          const checkpoint = await takeCheckpoint(deps);
          if (checkpoint === undefined)
            throw new Problem('conflict', 'Another replica is sealing the log.', { retryAfterSeconds: 1 });
          return checkpointJson(checkpoint);
        } catch (cause) {
          if (!(cause instanceof BrokenChainError)) throw cause;
          throw new Problem('conflict', `The chain is broken, so nothing was signed: ${cause.message}.`);
        }
      },
    },
    'audit.checkpoints': {
      async handle({ query }) {
        const checkpoints = await checkpointsFrom(deps.db, query.after + 1, query.limit);
        return {
          checkpoints: checkpoints.map(checkpointJson),
          next: checkpoints.length === query.limit ? (checkpoints.at(-1)?.sequence ?? null) : null,
        };
      },
    },
  };
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** The fields that are there: a filter without a value filters nothing. */
function given<T extends object>(fields: T): Given<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<T>;
}
