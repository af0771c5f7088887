/**
 * The portable definition of a workflow (paper section 5): streams, steps, tiers. It names no host, partition, account or address: those
 * are bound by the environment it runs in. Pure: reading, checking, filling in parameters.
 */
import { z } from 'zod';
import { nameSchema, parseYaml, YamlError } from '../facility/index.ts';
import { type FieldError, Problem } from '../problems.ts';

const stepSchema = z.strictObject({
  executable: z.string().min(1),
  arguments: z.array(z.string()).default([]),
  variables: z.record(z.string(), z.string()).default({}),
  tier: nameSchema.default('batch'),
  nodes: z.int().min(1).default(1),
  slotsPerNode: z.int().min(1).default(1),
  timeLimitSeconds: z.int().min(1).default(3600),
  requeue: z.boolean().default(true),
  streams: z.record(nameSchema, z.enum(['producer', 'consumer'])).default({}),
  after: z.array(nameSchema).default([]),
});

const workflowSchema = z.strictObject({
  apiVersion: z.literal('beamway/v1'),
  kind: z.literal('Workflow'),
  name: nameSchema,
  title: z.string().default(''),
  parameters: z
    .record(
      z.string().regex(/^[a-z][A-Za-z0-9]{0,39}$/, 'camelCase'),
      z.strictObject({ default: z.string().optional(), description: z.string().default('') }),
    )
    .default({}),
  streams: z
    .record(
      nameSchema,
      z.strictObject({ template: nameSchema, parameters: z.record(z.string(), z.unknown()).default({}) }),
    )
    .default({}),
  steps: z.record(nameSchema, stepSchema).refine((s) => Object.keys(s).length > 0, 'at least one step'),
});

export type Workflow = z.output<typeof workflowSchema>;
export type WorkflowStep = z.output<typeof stepSchema>;

/** Reads, checks and fills in `given`. Throws `invalid-request` that names every fault, by line and column where it has one. */
export function readWorkflow(text: string, given: Readonly<Record<string, string>>): Workflow {
  let workflow: Workflow;
  try {
    workflow = parseYaml('workflow', text, workflowSchema);
  } catch (error) {
    // The reader throws errors of its own for what cannot be resolved: an alias without anchor, one alias too many, nesting without end.
    const faults =
      error instanceof YamlError
        ? error.faults.map((f) => `line ${f.line}, column ${f.column}: ${f.detail}`)
        : [
            error instanceof RangeError
              ? 'is nested too deeply'
              : error instanceof Error
                ? error.message
                : String(error),
          ];
    const errors = faults.map((detail) => ({ pointer: '#/workflow', detail }));
    throw new Problem('invalid-request', 'The workflow cannot be read.', { errors });
  }
  const errors = [...parameterFaults(workflow, given), ...referenceFaults(workflow)];
  if (errors.length > 0) throw new Problem('invalid-request', 'The workflow does not hold together.', { errors });
  return filledIn(workflow, given);
}

function parameterFaults(workflow: Workflow, given: Readonly<Record<string, string>>): FieldError[] {
  const errors: FieldError[] = [];
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(workflow.parameters, name))
      errors.push({
        pointer: `#/parameters/${name}`,
        detail: `the workflow declares ${Object.keys(workflow.parameters).join(', ') || 'no parameters'}`,
      });
  }
  for (const [name, parameter] of Object.entries(workflow.parameters)) {
    if (!Object.hasOwn(given, name) && parameter.default === undefined)
      errors.push({
        pointer: `#/parameters/${name}`,
        detail: `is needed: ${parameter.description || 'the workflow gives no default'}`,
      });
  }
  return errors;
}

function referenceFaults(workflow: Workflow): FieldError[] {
  const errors: FieldError[] = [];
  const fault = (step: string, detail: string): void =>
    void errors.push({ pointer: '#/workflow', detail: `step ${step}: ${detail}` });
  for (const [name, step] of Object.entries(workflow.steps)) {
    for (const stream of Object.keys(step.streams))
      if (!Object.hasOwn(workflow.streams, stream)) fault(name, `no stream ${stream}`);
    for (const before of step.after)
      if (!Object.hasOwn(workflow.steps, before)) fault(name, `after ${before}, which is no step`);
    for (const text of textsOf(step)) {
      for (const [, parameter = ''] of text.matchAll(REFERENCE))
        if (!Object.hasOwn(workflow.parameters, parameter)) fault(name, `no parameter ${parameter}`);
    }
  }
  const circle = findCircle(workflow);
  if (circle !== undefined)
    errors.push({ pointer: '#/workflow', detail: `steps wait for each other: ${circle.join(' -> ')}` });
  return errors;
}

/** `${parameters.name}`; nothing else is substituted, and never inside a shell. */
const REFERENCE = /\$\{parameters\.([A-Za-z0-9]+)\}/g;

const textsOf = (step: WorkflowStep): readonly string[] => [
  step.executable,
  ...step.arguments,
  ...Object.values(step.variables),
];

function filledIn(workflow: Workflow, given: Readonly<Record<string, string>>): Workflow {
  const fill = (text: string): string =>
    text.replaceAll(REFERENCE, (_, name: string) =>
      Object.hasOwn(given, name) ? (given[name] ?? '') : (workflow.parameters[name]?.default ?? ''),
    );
  const steps = Object.entries(workflow.steps).map(([name, step]): [string, WorkflowStep] => [
    name,
    {
      ...step,
      executable: fill(step.executable),
      arguments: step.arguments.map(fill),
      variables: Object.fromEntries(Object.entries(step.variables).map(([k, v]) => [k, fill(v)])),
    },
  ]);
  return { ...workflow, steps: Object.fromEntries(steps) };
}

function findCircle(workflow: Workflow): readonly string[] | undefined {
  const done = new Set<string>();
  const visit = (name: string, path: readonly string[]): readonly string[] | undefined => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    if (done.has(name)) return undefined;
    for (const before of workflow.steps[name]?.after ?? []) {
      const circle = visit(before, [...path, name]);
      if (circle !== undefined) return circle;
    }
    done.add(name);
    return undefined;
  };
  for (const name of Object.keys(workflow.steps)) {
    const circle = visit(name, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}
