/**
 * What slurmrestd of a version takes in POST job/submit, as far as we send it and its neighbours that would show a wrong type. Written by us from Slurm's sources
 * (src/plugins/data_parser/v0.0.NN/parsers.c, JOB_DESC_MSG and the types it names), apart from the product's own table, so that the two can disagree.
 */
import { z } from 'zod';

const number = (largest: number) =>
  z.strictObject({ set: z.boolean(), infinite: z.boolean(), number: z.int().min(0).max(largest) });
const minutes = number(4_294_967_293);
const uint64 = number(Number.MAX_SAFE_INTEGER);
const pairs = z.array(z.string().regex(/^[^=]+=/)).min(1);

const inAll = {
  account: z.string().optional(),
  array: z.string().optional(),
  comment: z.string().optional(),
  constraints: z.string().optional(),
  container: z.string().optional(),
  current_working_directory: z.string().optional(),
  dependency: z.string().optional(),
  environment: pairs,
  hold: z.boolean().optional(),
  memory_per_node: uint64.optional(),
  memory_per_cpu: uint64.optional(),
  minimum_nodes: z.int().optional(),
  name: z.string().optional(),
  nodes: z.string().optional(),
  open_mode: z.array(z.enum(['APPEND', 'TRUNCATE'])).optional(),
  partition: z.string().optional(),
  qos: z.string().optional(),
  requeue: z.boolean().optional(),
  reservation: z.string().optional(),
  shared: z.array(z.enum(['none', 'oversubscribe', 'user', 'mcs'])).optional(),
  standard_error: z.string().optional(),
  standard_output: z.string().optional(),
  tasks: z.int().optional(),
  tasks_per_node: z.int().max(65_533).optional(),
  time_limit: minutes.optional(),
};

const since1970 = z.int().min(1_000_000_000);
const tres = (prefix: 'gres:' | 'gres/') => z.string().regex(new RegExp(`^${prefix}[^,]+(,${prefix}[^,]+)*$`));

const of39 = z.object({ ...inAll, begin_time: since1970.optional(), tres_per_node: tres('gres:').optional() });
const of40 = z.object({ ...inAll, begin_time: uint64.optional(), tres_per_node: tres('gres/').optional() });

export const JOB_SCHEMAS = {
  'v0.0.39': of39,
  'v0.0.40': of40,
  'v0.0.41': of40,
  'v0.0.42': of40,
  'v0.0.43': of40,
  'v0.0.44': of40,
} as const;

export type FakeVersion = keyof typeof JOB_SCHEMAS;
