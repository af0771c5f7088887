/** Starts a run: the workflow is read and checked whole, then it is rows; the executor does the rest, here or on another replica. */
import { transaction } from '../database/index.ts';
import { newId } from '../id.ts';
import type { Caller } from '../identity/index.ts';
import { type Action, type PolicyResource, policyResource, type Target } from '../policy/index.ts';
import { Problem } from '../problems.ts';
import type { PathwayDeps } from './deps.ts';
import { firstEffects, type Run } from './run.ts';
import { insertRun, runById, runByKey } from './store.ts';
import { readWorkflow, type Workflow } from './workflow.ts';

export interface CreateRunInput {
  readonly target: Target;
  readonly workflow: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly key: string | null;
  /** Of the request that starts it. */
  readonly requestId: string;
}

/** Throws `invalid-request` (the workflow), `refused` where the caller could not do what a step does. */
export async function createRun(deps: PathwayDeps, caller: Caller, input: CreateRunInput): Promise<Run> {
  const { project, environment } = input.target;
  const workflow = readWorkflow(input.workflow, input.parameters);
  mayDoWhatItDoes(deps, caller, { target: input.target, workflow });
  const run: Run = {
    id: newId('run'),
    project: project.name,
    environment: environment.name,
    workflow,
    state: 'running',
    reason: '',
    createdBy: caller.id,
    subject: caller.subject,
    requestId: input.requestId,
    createdAt: new Date(deps.clock.now()),
    endedAt: null,
    effects: firstEffects(workflow),
  };
  const inserted = await transaction(deps.db, (trx) => insertRun(trx, run, input.key));
  const stored =
    inserted || input.key === null ? await runById(deps.db, run.id) : await runByKey(deps.db, project.name, input.key);
  if (stored === undefined) throw new Error(`run ${run.id} was not stored`);
  if (stored.environment !== environment.name)
    throw new Problem('idempotency-key-reused', 'This Idempotency-Key was used in another environment of the project.');
  return stored;
}

/** A run acts with its creator's rights: what the creator may not do one by one, a workflow cannot do either. */
function mayDoWhatItDoes(
  { policy, circumstances, streaming }: PathwayDeps,
  caller: Caller,
  wish: { readonly target: Target; readonly workflow: Workflow },
): void {
  const { target, workflow } = wish;
  const place = policyResource(target);
  const may = (action: Action, more: Pick<PolicyResource, 'tier' | 'admission'>): void =>
    policy.authorize({
      caller,
      action,
      resource: { ...place, ...more },
      circumstances: circumstances(caller, action),
    });
  for (const { tier } of Object.values(workflow.steps)) may('job:submit', { tier });
  if (Object.keys(workflow.streams).length === 0) return;
  for (const { template } of Object.values(workflow.streams)) {
    const admission = streaming.templates.get(template)?.admission;
    may('stream:create', admission === undefined ? {} : { admission });
  }
  may('stream:connect', {});
  for (const [name, stream] of Object.entries(workflow.streams)) {
    if (!target.environment.streamTemplates.includes(stream.template)) {
      const detail = `stream ${name}: ${target.environment.name} allows the templates ${target.environment.streamTemplates.join(', ')}`;
      throw new Problem('invalid-request', 'The workflow cannot run in this environment.', {
        errors: [{ pointer: '#/workflow', detail }],
      });
    }
  }
}
