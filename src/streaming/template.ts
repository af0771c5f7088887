/**
 * A stream template: what administrators fix, and the few parameters users may set, each with bounds (paper section 4.1).
 * Pure: reading, checking a user's parameters, and what a template means for a lease.
 */
import { isIP } from 'node:net';
import { z } from 'zod';
import { addressList, isCidr } from '../address-list.ts';
import { nameSchema } from '../facility/index.ts';
import type { FieldError } from '../problems.ts';

const boundedFrom = (least: 0 | 1) =>
  z
    .strictObject({ default: z.int(), min: z.int().min(least), max: z.int() })
    .refine((b) => b.min <= b.default && b.default <= b.max, 'must hold min <= default <= max');
const boundedInteger = boundedFrom(1);
/** 0: no bound, where `min` lets it be. */
const boundedOrNone = boundedFrom(0);
const boundedList = z.strictObject({ default: z.array(z.string()), max: z.int().min(0).max(256) });

/**
 * Relay: it is itself what clients speak to. Redis, RabbitMQ: our gateway before it; a full buffer refuses, as Redis has no way to make a producer wait, and RabbitMQ none that would
 * hold for one stream and not for its neighbours.
 */
const ENGINES: Readonly<
  Record<'relay' | 'redis' | 'rabbitmq', { readonly mode: readonly string[]; readonly overflow: readonly string[] }>
> = {
  relay: { mode: ['direct'], overflow: ['wait', 'drop-oldest'] },
  redis: { mode: ['l7'], overflow: ['refuse'] },
  rabbitmq: { mode: ['l7', 'l4', 'direct'], overflow: ['refuse'] },
};

/** A read of a gateway is at most 1 MiB; at this rate it stops reading for 16 s, well within a heartbeat of 60 s. */
const LEAST_RATE = 65_536;

/** Where messages are bounded, a read of a gateway is 16 KiB: some 500 of the smallest messages, 8 s at this rate. */
const LEAST_MESSAGE_RATE = 64;

/** RabbitMQ 3.10's own bound of a message; nobody else sees it in mode `direct`. */
const RABBITMQ_MESSAGE_BYTES = 134_217_728;

export const templateSchema = z
  .strictObject({
    name: nameSchema,
    title: z.string().min(1),
    engine: z.enum(['relay', 'redis', 'rabbitmq']),
    /** Of rabbitmq: one broker for the streams of an enclave, or one of the stream's own. */
    kind: z.enum(['shared', 'dedicated']).default('shared'),
    queueType: z.enum(['classic', 'quorum']).default('classic'),
    /** On the port that users reach, with the node's certificate from the facility's own authority. */
    tls: z.enum(['required', 'off']).default('off'),
    mode: z.enum(['direct', 'l4', 'l7']),
    admission: z.enum(['credential', 'address']),
    delivery: z.enum(['at-most-once', 'redeliver']),
    overflow: z.enum(['wait', 'drop-oldest', 'refuse']),
    consumer: z.enum(['connect', 'listen']),
    offlineLifetimeSeconds: z.int().min(0),
    credentialLifetimeSeconds: z.int().min(1),
    maxMessageBytes: z.int().min(1).max(1_073_741_824),
    maxConnections: z.int().min(1).max(10_000),
    parameters: z.strictObject({
      bufferBytes: boundedInteger,
      lifetimeSeconds: boundedInteger,
      externalAddresses: boundedList,
      consumerListens: boundedList.optional(),
      queues: boundedInteger.optional(),
      bytesPerSecond: boundedInteger.optional(),
      messagesPerSecond: boundedInteger.optional(),
      byteQuota: boundedOrNone.optional(),
      messageQuota: boundedOrNone.optional(),
    }),
  })
  .superRefine((t, context) => {
    const wrong = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
    const { mode, overflow } = ENGINES[t.engine];
    if (!mode.includes(t.mode)) wrong('mode', `engine ${t.engine} has the mode ${mode.join(' or ')}`);
    if (!overflow.includes(t.overflow)) wrong('overflow', `engine ${t.engine} can ${overflow.join(' or ')}`);
    if (t.engine !== 'relay' && t.admission !== 'credential')
      wrong('admission', `engine ${t.engine} admits by credential`);
    if (t.engine === 'rabbitmq' && t.mode !== 'l7' && t.tls !== 'required')
      wrong('tls', 'clients that reach RabbitMQ themselves do so by TLS: required');
    if (t.engine === 'rabbitmq' && t.mode !== 'l7' && t.maxMessageBytes !== RABBITMQ_MESSAGE_BYTES)
      wrong('maxMessageBytes', `in the modes direct and l4 RabbitMQ alone bounds a message: ${RABBITMQ_MESSAGE_BYTES}`);
    const rate = t.parameters.bytesPerSecond;
    if (rate !== undefined && t.mode !== 'l7')
      wrong('parameters.bytesPerSecond', 'only our gateway (mode l7) bounds octets a second');
    if (rate !== undefined && rate.min < LEAST_RATE)
      wrong('parameters.bytesPerSecond', `at least ${LEAST_RATE}: below, one read could outlast a heartbeat`);
    const messageRate = t.parameters.messagesPerSecond;
    if (messageRate !== undefined && t.mode !== 'l7')
      wrong('parameters.messagesPerSecond', 'only our gateway (mode l7) bounds messages a second');
    if (messageRate !== undefined && messageRate.min < LEAST_MESSAGE_RATE)
      wrong(
        'parameters.messagesPerSecond',
        `at least ${LEAST_MESSAGE_RATE}: below, one read could outlast a heartbeat`,
      );
    for (const quota of ['byteQuota', 'messageQuota'] as const)
      if (t.parameters[quota] !== undefined && t.engine !== 'relay' && t.mode !== 'l7')
        wrong(`parameters.${quota}`, 'a quota needs a relay or our gateway (mode l7) between');
    if (t.engine === 'relay' && t.tls === 'required') wrong('tls', 'a relay speaks ZMTP, which has no TLS');
    if (
      t.engine !== 'rabbitmq' &&
      (t.kind !== 'shared' || t.queueType !== 'classic' || t.parameters.queues !== undefined)
    )
      wrong('engine', 'kind, queueType and the parameter queues are for the engine rabbitmq');
  })
  .refine((t) => t.admission === 'credential' || t.delivery === 'at-most-once', {
    path: ['delivery'],
    message: 'redeliver needs admission: credential',
  })
  .refine(
    (t) => t.consumer === 'connect' || (t.admission === 'address' && t.parameters.consumerListens !== undefined),
    {
      path: ['consumer'],
      message: 'consumer: listen needs admission: address and the parameter consumerListens',
    },
  );

export type Template = z.output<typeof templateSchema>;

/** A user's parameters after checking, with defaults filled in. */
export interface Parameters {
  readonly bufferBytes: number;
  readonly lifetimeSeconds: number;
  readonly externalAddresses: readonly string[];
  readonly consumerListens: readonly string[];
  /** 1 where the template has no such parameter. */
  readonly queues: number;
  /** What all clients together may put in; 0, no bound, where the template has no such parameter. */
  readonly bytesPerSecond: number;
  readonly messagesPerSecond: number;
  /** Totals over the stream's life; 0: none. */
  readonly byteQuota: number;
  readonly messageQuota: number;
}

type IntegerName = {
  [K in keyof Parameters]: Parameters[K] extends number ? K : never;
}[keyof Parameters];

const ONE = { default: 1, min: 1, max: 1 } as const;
const NO_BOUND = { default: 0, min: 0, max: 0 } as const;

export type Checked = { readonly parameters: Parameters } | { readonly errors: readonly FieldError[] };

/** Every parameter that is unknown, of the wrong kind or out of bounds, at once. */
export function checkParameters(template: Template, given: Readonly<Record<string, unknown>>): Checked {
  const errors: FieldError[] = [];
  const wrong = (name: string, detail: string): void => void errors.push({ pointer: `#/parameters/${name}`, detail });
  const bounds = template.parameters;
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(bounds, name))
      wrong(name, `template ${template.name} has no such parameter; it has ${Object.keys(bounds).join(', ')}`);
  }
  const integer = (name: IntegerName): number => {
    const { default: fallback, min, max } = bounds[name] ?? (name === 'queues' ? ONE : NO_BOUND);
    const value = given[name] ?? fallback;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value;
    wrong(name, `must be an integer from ${min} to ${max}`);
    return fallback;
  };
  const list = (
    name: 'externalAddresses' | 'consumerListens',
    valid: (item: string) => boolean,
    what: string,
  ): readonly string[] => {
    const bound = bounds[name];
    if (bound === undefined) return [];
    const value = given[name] ?? bound.default;
    if (
      Array.isArray(value) &&
      value.length <= bound.max &&
      value.every((v): v is string => typeof v === 'string' && valid(v))
    )
      return value;
    wrong(name, `must be a list of at most ${bound.max} ${what}`);
    return bound.default;
  };
  const parameters = {
    bufferBytes: integer('bufferBytes'),
    lifetimeSeconds: integer('lifetimeSeconds'),
    queues: integer('queues'),
    bytesPerSecond: integer('bytesPerSecond'),
    messagesPerSecond: integer('messagesPerSecond'),
    byteQuota: integer('byteQuota'),
    messageQuota: integer('messageQuota'),
    externalAddresses: list('externalAddresses', isCidr, 'addresses such as 192.0.2.0/24 or 2001:db8::/32'),
    consumerListens: list(
      'consumerListens',
      isListen,
      'endpoints such as tcp://192.0.2.7:5555, with a numeric address',
    ),
  };
  if (template.consumer === 'listen' && parameters.consumerListens.length === 0)
    wrong('consumerListens', "name at least one endpoint where a consumer's PULL socket is bound");
  // The node connects out only to addresses it would let in: said here, where it can be mended, and not by a stream that delivers nothing.
  if (errors.length === 0) {
    const allowed = addressList(parameters.externalAddresses);
    for (const endpoint of parameters.consumerListens)
      if (!allowed.check(addressOf(endpoint)))
        wrong('consumerListens', `${endpoint} is at no address of externalAddresses`);
  }
  return errors.length > 0 ? { errors } : { parameters };
}

const LISTEN = /^tcp:\/\/(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):(\d{1,5})$/;

function isListen(text: string): boolean {
  const port = Number(LISTEN.exec(text)?.[3]);
  return isIP(addressOf(text)) !== 0 && port >= 1 && port <= 65_535;
}

/** The address in an endpoint; empty where it is none. */
function addressOf(endpoint: string): string {
  const match = LISTEN.exec(endpoint);
  return match?.[1] ?? match?.[2] ?? '';
}
