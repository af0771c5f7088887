/** `beamway stream …` and `beamway template list`: provision, look, extend, release, obtain a credential. */
import { closeSync, fchmodSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import type { Command } from 'commander';
import type { Client, Result } from '../client.ts';
import { CommandError, EXIT } from './context.ts';
import { duration, parameters } from './parse-arguments.ts';
import { bytes, details, printJson, shortTime, table } from './print.ts';
import { benchCommand } from './stream-commands-bench.ts';
import { controlCommands } from './stream-commands-control.ts';
import { doctorCommand } from './stream-commands-doctor.ts';
import { topCommand } from './stream-commands-top.ts';
import { ratesBetween, warningsOf } from './stream-rates.ts';

const READY_SECONDS = 20;

interface CreateOptions {
  readonly template: string;
  readonly name?: string;
  readonly project?: string;
  readonly environment?: string;
  readonly parameter?: Record<string, unknown>;
  readonly lifetime?: number;
  readonly key?: string;
  readonly wait: boolean;
  readonly json?: boolean;
}

interface CredentialOptions {
  readonly role: 'producer' | 'consumer';
  readonly lifetime?: number;
  readonly file?: string;
  readonly name?: string;
  readonly json?: boolean;
}

export function streamCommands(program: Command, client: () => Client): void {
  const stream = program.command('stream').description('memory-to-memory streams on data streaming nodes');

  stream
    .command('create')
    .description('provision a stream from a template and wait until it is ready')
    .requiredOption('--template <name>', 'see: beamway template list')
    .option('--name <name>', 'default: the template’s name')
    .option('--project <name>')
    .option('--environment <name>')
    .option('--parameter <KEY=VALUE>', 'a parameter the template leaves open; may be repeated', parameters)
    .option('--lifetime <duration>', 'short for --parameter lifetimeSeconds', duration)
    .option('--key <text>', 'Idempotency-Key: a second call with it is the first stream')
    .option('--no-wait', 'do not wait until it is ready')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  beamway stream create --template lcls-frames --lifetime 4h --parameter bufferBytes=268435456\n',
    )
    .action(async (options: CreateOptions) => {
      const made = await client().call('stream.create', {
        body: {
          template: options.template,
          name: options.name ?? options.template,
          ...(options.project === undefined ? {} : { project: options.project }),
          ...(options.environment === undefined ? {} : { environment: options.environment }),
          parameters: {
            ...options.parameter,
            ...(options.lifetime === undefined ? {} : { lifetimeSeconds: options.lifetime }),
          },
        },
        ...(options.key === undefined ? {} : { idempotencyKey: options.key }),
      });
      const shown = options.wait
        ? await client().call('stream.show', { params: { id: made.id }, query: { waitSeconds: READY_SECONDS } })
        : made;
      if (options.json === true) printJson(shown);
      else
        process.stdout.write(
          `${shown.id} ${shown.state}${shown.endpoints['producer'] === undefined ? '' : ` ${shown.endpoints['producer']}`}\n`,
        );
      if (options.wait && shown.state !== 'ready')
        throw new CommandError(`${shown.id} is ${shown.state}: ${shown.reason}`, EXIT.failed);
    });

  stream
    .command('list')
    .description('list streams, newest first')
    .option('--project <name>')
    .option('--released', 'released ones too')
    .option('--json', 'print one JSON document')
    .action(async (options: { project?: string; released?: boolean; json?: boolean }) => {
      const query = {
        ...(options.project === undefined ? {} : { project: options.project }),
        released: options.released === true ? ('true' as const) : ('false' as const),
      };
      const listed = await client().call('stream.list', { query });
      if (options.json === true) return printJson(listed);
      process.stdout.write(
        table(
          ['id', 'name', 'template', 'state', 'in', 'out', 'buffered', 'expires'],
          listed.streams.map((s) => [
            s.id,
            s.name,
            s.template,
            s.state,
            s.counters?.messagesIn,
            s.counters?.messagesOut,
            s.counters?.buffered,
            expiryOf(s),
          ]),
        ),
      );
    });

  topCommand(stream, client);
  benchCommand(stream, client);
  doctorCommand(stream, client);
  controlCommands(stream, client);

  stream
    .command('show')
    .argument('<id>')
    .description('show a stream, its counters and its connections')
    .option('--json', 'print one JSON document')
    .action(async (id: string, options: { json?: boolean }) => {
      const shown = await client().call('stream.show', { params: { id } });
      if (options.json === true) return printJson(shown);
      process.stdout.write(details(pairsOf(shown)));
      for (const warning of ratesBetween(undefined, { atMs: 0, streams: [shown] }).flatMap(warningsOf))
        process.stdout.write(`warning: ${warning}\n`);
      if (shown.connections.length > 0) {
        process.stdout.write(
          `\n${table(
            ['role', 'from', 'credential', 'messages', 'volume', 'since'],
            shown.connections.map((c) => [
              c.role,
              c.remoteAddress,
              c.credential,
              c.messages,
              bytes(c.bytes),
              shortTime(c.connectedAt),
            ]),
          )}`,
        );
      }
    });

  stream
    .command('extend')
    .argument('<id>')
    .description('let a stream live so long from now')
    .requiredOption('--lifetime <duration>', 'for example 4h', duration)
    .option('--json', 'print one JSON document')
    .action(async (id: string, options: { lifetime: number; json?: boolean }) => {
      const extended = await client().call('stream.extend', {
        params: { id },
        body: { lifetimeSeconds: options.lifetime },
      });
      if (options.json === true) return printJson(extended);
      process.stdout.write(`${extended.id} lives until ${shortTime(extended.expiresAt)}\n`);
    });

  stream
    .command('delete')
    .argument('<id>')
    .description('release a stream: connections closed, port and memory freed')
    .option('--no-wait', 'do not wait until its node has let go of it')
    .option('--json', 'print one JSON document')
    .action(async (id: string, options: { wait: boolean; json?: boolean }) => {
      const asked = await client().call('stream.delete', { params: { id } });
      const shown = options.wait
        ? await client().call('stream.show', { params: { id: asked.id }, query: { waitSeconds: READY_SECONDS } })
        : asked;
      if (options.json === true) return printJson(shown);
      process.stdout.write(`${shown.id} ${shown.state}\n`);
    });

  stream
    .command('credential')
    .argument('<id>')
    .description('obtain a short-lived credential for one role; its password is shown once')
    .requiredOption('--role <role>', 'producer or consumer')
    .option('--lifetime <duration>', 'default: as long as the template allows', duration)
    .option('--file <path>', 'add it to a 0600 file of attachments in place of printing the password')
    .option('--name <name>', 'name in that file; default: the stream’s id')
    .option('--json', 'print one JSON document')
    .action(async (id: string, options: CredentialOptions) => {
      if (options.role !== 'producer' && options.role !== 'consumer')
        throw new CommandError('--role is producer or consumer.');
      const issued = await client().call('stream.credential', {
        params: { id },
        body: { role: options.role, ...(options.lifetime === undefined ? {} : { lifetimeSeconds: options.lifetime }) },
      });
      if (options.file !== undefined) {
        addAttachment(options.file, options.name ?? id, issued);
        const { password: _, ...rest } = issued;
        if (options.json === true) printJson(rest);
        else process.stdout.write(`${issued.id} is in ${options.file}\n`);
        return;
      }
      if (options.json === true) return printJson(issued);
      process.stdout.write(
        details([
          ['endpoint', issued.endpoint],
          ['plain_username', issued.username],
          ['plain_password', issued.password],
          ['delivery', issued.delivery],
          ['expires', shortTime(issued.expiresAt)],
        ]),
      );
    });

  const template = program.command('template').description('what streams can be made of');
  template
    .command('list')
    .description('templates and the bounds of their parameters')
    .option('--json', 'print one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { templates } = await client().call('template.list');
      if (options.json === true) return printJson({ templates });
      process.stdout.write(
        table(
          ['name', 'engine', 'mode', 'admission', 'delivery', 'overflow', 'title'],
          templates.map((t) =>
            [t['name'], t['engine'], t['mode'], t['admission'], t['delivery'], t['overflow'], t['title']].map(String),
          ),
        ),
      );
    });
}

function pairsOf(s: Result<'stream.show'>): [string, string | number | null][] {
  const c = s.counters;
  return [
    ['id', s.id],
    ['name', s.name],
    ['project', `${s.project} in ${s.environment}`],
    ['template', `${s.template} (${s.engine}, ${s.delivery})`],
    ['node', s.node],
    ['state', `${s.state}${s.reason === '' ? '' : `: ${s.reason}`}`],
    ...Object.entries(s.endpoints).map(([role, endpoint]): [string, string] => [`${role} endpoint`, endpoint]),
    ['expires', shortTime(s.expiresAt)],
    ...(c === null
      ? []
      : ([
          ['in', `${c.messagesIn} messages, ${bytes(c.bytesIn)}`],
          ['out', `${c.messagesOut} messages, ${bytes(c.bytesOut)}`],
          ['buffered', `${c.buffered} messages, ${bytes(c.bufferedBytes)}`],
          ...usedOf(s),
          ['dropped', c.dropped],
          ['redelivered', c.redelivered],
          ['refused', `${c.refused} connections`],
          ...(c.unconfirmed === undefined ? [] : [['unconfirmed', c.unconfirmed]]),
        ] as [string, string | number][])),
  ];
}

/** What is left of a life of a day and less; the moment of a longer one. */
function expiryOf({ expiresAt, releasedAt }: Result<'stream.show'>): string {
  const minutes = Math.ceil((Date.parse(expiresAt) - Date.now()) / 60_000);
  if (releasedAt !== null || minutes <= 0 || minutes > 24 * 60) return shortTime(expiresAt);
  return minutes < 120 ? `${minutes} min left` : `${Math.floor(minutes / 60)} h left`;
}

/** What was used of its quotas; nothing where it has none. */
function usedOf({ usage }: Result<'stream.show'>): [string, string][] {
  if (usage === null) return [];
  const pairs: [string, string][] = [];
  if (usage.byteQuota > 0) pairs.push(['byteQuota', `${bytes(usage.bytes)} of ${bytes(usage.byteQuota)} used`]);
  if (usage.messageQuota > 0) pairs.push(['messageQuota', `${usage.messages} of ${usage.messageQuota} used`]);
  return pairs;
}

/** The file a job finds under BEAMWAY_STREAMS has this shape too: { "streams": { NAME: { role, endpoint, … } } }. */
function addAttachment(path: string, name: string, issued: Result<'stream.credential'>): void {
  let streams: Record<string, unknown> = {};
  try {
    const earlier = JSON.parse(readFileSync(path, 'utf8')) as { streams?: Record<string, unknown> };
    streams = earlier.streams ?? {};
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'))
      throw new CommandError(`${path} is there but is no attachment file`);
  }
  const { role, endpoint, username, password, authority, delivery, expiresAt } = issued;
  streams[name] = { stream: issued.stream, role, endpoint, username, password, authority, delivery, expiresAt };
  const fd = openSync(`${path}.new`, 'w', 0o600);
  fchmodSync(fd, 0o600);
  writeSync(fd, `${JSON.stringify({ streams }, null, 2)}\n`);
  closeSync(fd);
  renameSync(`${path}.new`, path);
}
