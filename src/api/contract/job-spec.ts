/**
 * What a job may ask for: the shape of a PSI/J JobSpec, in our words, and beyond it what a batch scheduler has. Bounds are those of the wire to a Slurm agent
 * (src/slurm/contract/acts.ts); whether the cluster can do it is for the use case to say.
 */
import { z } from 'zod';
import { nameField, textField, timeField, wordField } from './fields.ts';

const SCRIPT_CHARACTERS = 512 * 1024;

/** Why the text is no script that a kernel could start; undefined: it is one. */
export function scriptFault(text: string): string | undefined {
  if (text === '') return 'is empty';
  if (!text.startsWith('#!')) return 'must start with an interpreter line such as #!/bin/sh';
  const end = text.indexOf('\n');
  const line = end < 0 ? text : text.slice(0, end);
  if (line.endsWith('\r'))
    return 'its first line ends with a carriage return (line ends of Windows), so its interpreter would not be found: convert it, for example with dos2unix';
  if (!/^#!\s*\/\S/.test(line))
    return 'its first line must name the interpreter by an absolute path, such as #!/bin/sh';
  return undefined;
}

/** Control characters, line and paragraph separators, and what turns the direction of text: a name is printed in terminals, mails and logs. */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

export const jobNameField = textField(128)
  .min(1)
  .refine((text) => !UNPRINTABLE.test(text), 'must not hold control characters');

export const pathField = textField(4096).refine(
  (path) => path.startsWith('/') && !path.split('/').includes('..'),
  'an absolute path without ..',
);

/** Names of partitions and reservations. */
const nativeNameField = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/, 'letters, digits, _ . and -');

export const timeLimitField = z.int().min(1).max(31_536_000);

const GRES = /^[a-z0-9_]+(:[A-Za-z0-9_.-]+)?(:[0-9]+)?(,[a-z0-9_]+(:[A-Za-z0-9_.-]+)?(:[0-9]+)?)*$/;
/** Slurm's own bound on a task number: MaxArraySize is at most 4,000,001. */
const LAST_TASK = 4_000_000;

export const arrayField = z
  .strictObject({
    first: z.int().min(0).max(LAST_TASK),
    last: z.int().min(0).max(LAST_TASK),
    step: z.int().min(1).max(LAST_TASK).default(1),
    atOnce: z.int().min(1).max(LAST_TASK).optional().describe('Tasks that run at the same time, at the most'),
  })
  .refine((a) => a.first <= a.last, { path: ['last'], message: 'must not be below first' });

export const dependencyField = z.strictObject({
  job: wordField.describe('Id of a job of the same project, on the same cluster'),
  when: z.enum(['started', 'ended', 'succeeded', 'failed']),
});

const fields = z.strictObject({
  name: jobNameField.default('job'),
  project: nameField.optional().describe("Default: the token's project"),
  environment: nameField.optional().describe("Default: the token's environment where it has one only"),
  tier: nameField.default('batch'),
  script: textField(SCRIPT_CHARACTERS)
    .check((text) => {
      const fault = scriptFault(text.value);
      if (fault !== undefined) text.issues.push({ code: 'custom', input: '', message: fault });
    })
    .optional()
    .describe('Text of the script, with its #! line; never passed through a shell of ours'),
  executable: pathField.optional().describe('In place of a script: a program on the cluster, by its absolute path'),
  arguments: z.array(textField(4096)).max(256).default([]),
  variables: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'a variable name'), textField(8192))
    .default({})
    .describe('Environment variables. Nothing secret belongs here: schedulers archive them.'),
  nodes: z.int().min(1).max(10_000).default(1),
  slotsPerNode: z.int().min(1).max(4096).default(1).describe('Processor slots on each node'),
  memoryMiBPerNode: z.int().min(1).max(1_073_741_824).optional(),
  timeLimitSeconds: timeLimitField.default(3600),
  requeue: z.boolean().default(true).describe('May be queued again after a preemption or a node failure'),
  streams: z
    .array(z.strictObject({ stream: wordField, name: nameField, role: z.enum(['producer', 'consumer']) }))
    .max(16)
    .default([])
    .describe('Streams whose endpoint and credential the job claims when it starts'),
  workDir: pathField.optional().describe("Default: the job's own folder"),
  stdoutPath: pathField.optional().describe('Default: kept by Beamway, attempt by attempt, and read with job.output'),
  stderrPath: pathField.optional(),
  notBefore: timeField.optional().describe('Not started before; ISO 8601, UTC'),
  hold: z.boolean().optional().describe('Not started until it is released'),
  partition: nativeNameField.optional(),
  reservation: nativeNameField.optional(),
  gres: z
    .string()
    .max(256)
    .regex(GRES, 'such as gpu:2 or gpu:a100:1')
    .optional()
    .describe('Generic resources on each node, such as gpu:2'),
  constraint: z
    .string()
    .regex(/^[A-Za-z0-9_&|()*,-]{1,128}$/, 'features of nodes, such as a100&nvme')
    .optional(),
  exclusive: z.boolean().optional().describe('Shares its nodes with no other job'),
  container: textField(4096).min(1).optional().describe("Image or bundle, as the cluster's container runtime names it"),
  array: arrayField.optional().describe('So many tasks of the same script, told apart by their number'),
  dependsOn: z.array(dependencyField).max(64).optional(),
  resubmitIfLost: z
    .boolean()
    .optional()
    .describe('Submit it again, once its first run is fenced off, where the scheduler has lost it for good'),
});

export const jobSpecSchema = fields.check((spec) => {
  const { script, executable } = spec.value;
  if (script === undefined && executable === undefined)
    spec.issues.push({ code: 'custom', input: '', path: ['script'], message: 'a script or an executable is needed' });
  if (script !== undefined && executable !== undefined)
    spec.issues.push({
      code: 'custom',
      input: '',
      path: ['executable'],
      message: 'either a script or an executable, not both',
    });
});
