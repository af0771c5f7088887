/** `beamway job submit`. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { CallInput, Client } from '../client.ts';
import { CommandError, EXIT } from './context.ts';
import { untilEnded } from './job-commands-wait.ts';
import {
  type AttachmentText,
  attachment,
  type DependencyText,
  dependency,
  duration,
  keyValue,
  memory,
  pointInTime,
  positiveInteger,
  type TaskRangeText,
  taskRange,
} from './parse-arguments.ts';
import { printJson } from './print.ts';

type JobBody = NonNullable<CallInput<'job.submit'>['body']>;

interface SubmitOptions {
  readonly project?: string;
  readonly environment?: string;
  readonly name?: string;
  readonly executable?: string;
  readonly tier: string;
  readonly nodes: number;
  readonly slots: number;
  readonly memory?: number;
  readonly time: number;
  readonly requeue: boolean;
  readonly resubmitIfLost?: boolean;
  readonly variable?: Record<string, string>;
  readonly stream?: AttachmentText[];
  readonly array?: TaskRangeText;
  readonly dependsOn?: DependencyText[];
  readonly hold?: boolean;
  readonly at?: string;
  readonly partition?: string;
  readonly reservation?: string;
  readonly gres?: string;
  readonly constraint?: string;
  readonly exclusive?: boolean;
  readonly container?: string;
  readonly directory?: string;
  readonly stdout?: string;
  readonly stderr?: string;
  readonly key?: string;
  readonly wait?: boolean;
  readonly json?: boolean;
}

const EXAMPLES = `
Examples:
  beamway job submit analyse.sh --tier urgent --slots 4 --time 10m
  beamway job submit analyse.sh --stream frames=str_0123456789abcdefghjk:consumer -- --threshold 6
  beamway job submit sweep.sh --array 0-99%10 --gres gpu:2 --memory 16G
  beamway job submit merge.sh --depends-on job_0123456789abcdefghjk:succeeded
  beamway job submit --executable /opt/tools/reduce -- --run 42
`;

export function submitCommand(job: Command, client: () => Client): void {
  job
    .command('submit')
    .argument('[script]', 'file that starts with an interpreter line such as #!/bin/sh; - reads standard input')
    .argument('[arguments...]', 'arguments for the script')
    .description('submit a job')
    .option('--project <name>')
    .option('--environment <name>')
    .option('--name <text>')
    .option('--executable <path>', 'in place of a script: a program on the cluster; what follows are its arguments')
    .option('--tier <name>', 'urgency', 'batch')
    .option('--nodes <count>', 'nodes', positiveInteger, 1)
    .option('--slots <count>', 'processor slots on each node', positiveInteger, 1)
    .option('--memory <size>', 'memory on each node, such as 4G', memory)
    .option('--time <duration>', 'time limit', duration, 3600)
    .option('--gres <list>', 'generic resources on each node, such as gpu:2')
    .option('--array <range>', 'tasks of the same script: 0-99, 0-99:2, 0-99%10 (ten at a time)', taskRange)
    .option('--depends-on <job:when>', 'wait for a job (started, ended, succeeded, failed); repeatable', dependency)
    .option('--hold', 'do not start it until `beamway job release`')
    .option('--at <time>', 'do not start it before: +2h, 2026-12-01T08:00, 2026-12-01T08:00Z', (t: string) =>
      pointInTime(t),
    )
    .option('--partition <name>')
    .option('--reservation <name>')
    .option('--constraint <features>', 'features that its nodes must have')
    .option('--exclusive', 'share its nodes with no other job')
    .option('--container <image>', "image or bundle, as the cluster's container runtime names it")
    .option('--directory <path>', "working directory on the cluster (default: the job's own)")
    .option('--stdout <path>', 'file on the cluster; it is then not read with `beamway job output`')
    .option('--stderr <path>', 'the same for the error output')
    .option('--no-requeue', 'end, in place of queueing again, when preempted')
    .option('--resubmit-if-lost', 'submit it again where the scheduler has lost it for good')
    .option('--variable <KEY=VALUE>', 'environment variable; may be repeated; nothing secret', keyValue)
    .option('--stream <NAME=STREAM:ROLE>', 'attach a stream; may be repeated', attachment)
    .option('--key <text>', 'Idempotency-Key: a second submission with it is the first job')
    .option('--wait', 'wait until the job has ended; exit 1 unless it completed')
    .option('--json', 'print one JSON document')
    .addHelpText('after', EXAMPLES)
    .action(async (script: string | undefined, args: string[], options: SubmitOptions) => {
      const submitted = await client().call('job.submit', {
        body: bodyOf(script, args, options),
        ...(options.key === undefined ? {} : { idempotencyKey: options.key }),
      });
      const shown = options.wait === true ? await untilEnded(client(), submitted.id) : submitted;
      if (options.json === true) printJson(shown);
      else
        process.stdout.write(options.wait === true ? `${shown.id} ${shown.state}: ${shown.reason}\n` : `${shown.id}\n`);
      if (options.wait === true && shown.state !== 'completed') process.exitCode = EXIT.failed;
    });
}

function bodyOf(script: string | undefined, args: readonly string[], options: SubmitOptions): JobBody {
  const { executable } = options;
  if (script === undefined && executable === undefined)
    throw new CommandError('Name a script (- reads standard input), or a program with --executable.');
  const name = options.name ?? nameOf(executable ?? script ?? '');
  const program =
    executable === undefined
      ? { script: script === '-' ? readFileSync(0, 'utf8') : readText(script ?? ''), arguments: [...args] }
      : { executable, arguments: script === undefined ? [...args] : [script, ...args] };
  return {
    ...given({
      project: options.project,
      environment: options.environment,
      memoryMiBPerNode: options.memory,
      gres: options.gres,
      array: options.array,
      dependsOn: options.dependsOn,
      hold: options.hold,
      notBefore: options.at,
      partition: options.partition,
      reservation: options.reservation,
      constraint: options.constraint,
      exclusive: options.exclusive,
      container: options.container,
      workDir: options.directory,
      stdoutPath: options.stdout,
      stderrPath: options.stderr,
      resubmitIfLost: options.resubmitIfLost,
    }),
    ...program,
    name,
    tier: options.tier,
    variables: options.variable ?? {},
    nodes: options.nodes,
    slotsPerNode: options.slots,
    timeLimitSeconds: options.time,
    requeue: options.requeue,
    streams: options.stream ?? [],
  };
}

/** What was not given is not sent: the facility has its own defaults, and older ones do not know the field. */
function given<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function nameOf(path: string): string {
  return path === '-' ? 'stdin' : (path.split('/').at(-1) ?? path);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new CommandError(`${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}
