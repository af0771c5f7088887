/** Workflow runs over HTTP. */
import {
  cancelRun,
  createRun,
  type PathwayDeps,
  type Run,
  type RunExecutor,
  runById,
  runsPage,
} from '../../pathway/index.ts';
import { policyResource, resolveTarget, resourceOf, type Target } from '../../policy/index.ts';
import { Problem } from '../../problems.ts';
import type { Located } from '../exchange.ts';
import { listedEnvironments, listedProject } from '../listed-project.ts';
import type { Routes } from '../route.ts';

type RunRoutes = Pick<Routes, 'run.create' | 'run.list' | 'run.show' | 'run.cancel'>;

export function runRoutes(deps: PathwayDeps, executor: RunExecutor): RunRoutes {
  const locate = async ({ params }: { readonly params: { readonly id: string } }): Promise<Located> => {
    const run = await runById(deps.db, params.id);
    if (run === undefined) throw new Problem('not-found', `No run ${params.id}, or none that you may see.`);
    return { resource: resourceOf(deps.facility, run), label: `run/${run.id}`, row: run };
  };
  return {
    'run.create': {
      locate({ caller, body }) {
        const target = resolveTarget(deps.facility, caller, body);
        return { resource: policyResource(target), label: '', row: target };
      },
      async handle({ caller, body, located, idempotencyKey, requestId }) {
        const run = await createRun(deps, caller, {
          target: located.row as Target,
          workflow: body.workflow,
          parameters: body.parameters,
          key: idempotencyKey ?? null,
          requestId,
        });
        executor.wake();
        return runView(run);
      },
    },
    'run.list': {
      locate: ({ caller, query }) => ({ resource: listedProject(caller, query.project), label: '' }),
      async handle({ caller, query, located }) {
        const { project } = located.resource;
        const environments = listedEnvironments(caller);
        const runs = await runsPage(deps.db, {
          limit: query.limit,
          ...(environments === undefined ? {} : { environments }),
          ...(project === undefined ? {} : { project }),
          ...(query.before === undefined ? {} : { before: query.before }),
        });
        return { runs: runs.map(runView), next: runs.length === query.limit ? (runs.at(-1)?.id ?? null) : null };
      },
    },
    'run.show': { locate, handle: ({ located }) => runView(located.row as Run) },
    'run.cancel': {
      locate,
      async handle({ caller, located }) {
        const run = await cancelRun(deps, located.row as Run, caller.id);
        executor.wake();
        return runView(run);
      },
    },
  };
}

function runView(run: Run) {
  return {
    id: run.id,
    project: run.project,
    environment: run.environment,
    workflow: run.workflow.name,
    state: run.state,
    reason: run.reason,
    createdBy: run.createdBy,
    createdAt: run.createdAt.toISOString(),
    endedAt: run.endedAt?.toISOString() ?? null,
    effects: run.effects.map((e) => ({ ...e })),
  };
}
