/**
 * Which project and environment a request is for. A token fills in its own project, and its environment where it has just
 * one; a session must name both. Says all that is missing or unknown at once.
 */
import type { Environment, Facility, Project } from '../facility/index.ts';
import type { Caller } from '../identity/index.ts';
import { type FieldError, Problem } from '../problems.ts';
import type { PolicyResource } from './question.ts';

export interface Target {
  readonly project: Project;
  readonly environment: Environment;
}

export interface TargetInput {
  readonly project?: string | undefined;
  readonly environment?: string | undefined;
}

/** Throws `invalid-request`. Whether the caller may act there is for `authorize` to say. */
export function resolveTarget(facility: Facility, caller: Caller, input: TargetInput): Target {
  const errors: FieldError[] = [];
  const own = caller.kind === 'token' ? caller : undefined;
  const projectName = input.project ?? own?.project;
  const environmentName = input.environment ?? (own?.environments.length === 1 ? own.environments[0] : undefined);
  const project = projectName === undefined ? undefined : facility.projects.get(projectName);
  const environment = environmentName === undefined ? undefined : facility.environments.get(environmentName);
  if (projectName === undefined) errors.push({ pointer: '#/project', detail: 'name the project' });
  // A token learns nothing about projects that are not its own, not even whether they exist.
  else if (project === undefined && own === undefined)
    errors.push({ pointer: '#/project', detail: `no project ${projectName}` });
  if (environmentName === undefined) {
    const choice = own === undefined ? [...facility.environments.keys()] : own.environments;
    errors.push({ pointer: '#/environment', detail: `name the environment: one of ${choice.join(', ')}` });
  } else if (environment === undefined)
    errors.push({ pointer: '#/environment', detail: `no environment ${environmentName}` });
  else if (
    project !== undefined &&
    (own === undefined || own.project === project.name) &&
    !project.environments.includes(environment.name)
  ) {
    errors.push({ pointer: '#/environment', detail: `project ${project.name} is not in ${environment.name}` });
  }
  if (errors.length > 0) throw new Problem('invalid-request', 'It is not clear where this shall happen.', { errors });
  if (project === undefined || environment === undefined || !project.environments.includes(environment.name))
    throw new Problem('not-found', `No project ${projectName ?? ''}, or none that you may see.`);
  return { project, environment };
}

export function policyResource(target: Target): PolicyResource {
  return { project: target.project.name, environment: target.environment.name, enclave: target.environment.enclave };
}

/** The same for a thing that exists and knows its names. */
export function resourceOf(
  facility: Facility,
  thing: { readonly project: string; readonly environment: string },
): PolicyResource {
  const enclave = facility.environments.get(thing.environment)?.enclave;
  return { project: thing.project, environment: thing.environment, ...(enclave === undefined ? {} : { enclave }) };
}
