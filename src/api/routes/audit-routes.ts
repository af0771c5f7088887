/** The audit log over HTTP. */
import { recordsPage, verifyChain } from '../../audit/index.ts';
import type { Queries } from '../../database/index.ts';
import { listedProject } from '../listed-project.ts';
import type { Routes } from '../route.ts';

type AuditRoutes = Pick<Routes, 'audit.list' | 'audit.verify'>;

export function auditRoutes(deps: { readonly db: Queries }): AuditRoutes {
  return {
    'audit.list': {
      locate: ({ caller, query }) => ({ resource: listedProject(caller, query.project), label: '' }),
      async handle({ query, located }) {
        const { project } = located.resource;
        const records = await recordsPage(deps.db, {
          limit: query.limit,
          ...(project === undefined ? {} : { project }),
          ...(query.requestId === undefined ? {} : { requestId: query.requestId }),
          ...(query.action === undefined ? {} : { action: query.action }),
          ...(query.before === undefined ? {} : { before: query.before }),
        });
        return {
          records: records.map((r) => ({
            sequence: r.sequence,
            at: r.at.toISOString(),
            requestId: r.requestId,
            phase: r.phase,
            callerKind: r.callerKind,
            callerId: r.callerId,
            subject: r.subject,
            project: r.project,
            action: r.action,
            resource: r.resource,
            status: r.status,
            detail: { ...r.detail },
            digest: r.digest.toString('hex'),
          })),
          next: records.length === query.limit ? (records.at(-1)?.sequence ?? null) : null,
        };
      },
    },
    'audit.verify': {
      async handle() {
        const report = await verifyChain(deps.db);
        if (report.intact)
          return { intact: true, records: report.records, head: report.head, brokenAt: null, detail: null };
        return { intact: false, records: report.records, head: null, brokenAt: report.brokenAt, detail: report.detail };
      },
    },
  };
}
