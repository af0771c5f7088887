/**
 * Keeps one RabbitMQ up: starts it in the background, looks at it every second, starts it again on its data when it is dead, and kills it when it lives and does not answer. Owns the
 * broker's processes through its folder, and the address where it asks who may do what.
 */
import type { Clock } from '../../../clock.ts';
import { answerCallback, type CallbackFacts } from './answer-callback.ts';
import { type CallbackServer, openCallbackServer } from './callback-server.ts';
import type { QueueSight } from './management.ts';
import {
  endRabbit,
  killRabbit,
  publicPort,
  type RabbitKept,
  type RabbitListen,
  type RabbitServer,
  rabbitKept,
  startRabbit,
  writeCertificate,
} from './rabbit-server.ts';

export interface KeepRabbitOptions {
  readonly folder: string;
  readonly watermarkBytes: number;
  readonly clock: Clock;
  /** Whether the gateway's log-ins to that stream are let in. */
  readonly isOpen: (stream: string) => boolean;
  readonly direct: CallbackFacts['direct'];
  /** Where clients reach it themselves; absent: nowhere. */
  readonly listen?: {
    readonly hosts: readonly string[];
    readonly choosePort: () => Promise<number>;
    readonly pem: RabbitListen['pem'];
    readonly proxied: boolean;
  };
  /** It answers: at first, and again after it was away. */
  readonly onUp: () => Promise<void>;
  readonly onDown: (why: string) => void;
  readonly onLook: (sights: ReadonlyMap<string, QueueSight>) => void;
}

export interface KeptRabbit {
  /** Undefined while it is away. */
  server(): RabbitServer | undefined;
  gatewaySecret(): string;
  /** 0 where there is none. */
  publicPort(): number;
  /** Why it is away; empty while it is up, and during its first start. */
  problem(): string;
  /** Ends it and removes its folder. */
  end(): Promise<void>;
}

const LOOK_MS = 1000;
const RETRY_MS = 2000;
/** A look takes milliseconds; so many in a row that failed are a broker that hangs. */
const FAILED_LOOKS = 5;

export function keepRabbit(options: KeepRabbitOptions): KeptRabbit {
  const { clock, folder } = options;
  let server: RabbitServer | undefined;
  let kept: RabbitKept | undefined;
  let callbacks: CallbackServer | undefined;
  let problem = '';
  let port = 0;
  let written = '';
  let failedLooks = 0;
  let ended = false;
  let stopTimer = (): void => undefined;
  let running: Promise<void> = Promise.resolve();

  const later = (ms: number): void => {
    if (ended) return;
    stopTimer = clock.after(ms, () => {
      running = turn();
    });
  };
  const turn = async (): Promise<void> => {
    try {
      if (server === undefined) await begin();
      else await look(server);
      later(LOOK_MS);
    } catch (cause) {
      problem = cause instanceof Error ? cause.message : String(cause);
      later(RETRY_MS);
    }
  };
  const begin = async (): Promise<void> => {
    kept ??= await rabbitKept(folder);
    const { gatewaySecret, callbackSecret: secret, ports } = kept;
    callbacks ??= await openCallbackServer({ port: ports.callback, secret }, (path, fields) =>
      answerCallback({ gatewaySecret, isOpen: options.isOpen, direct: options.direct }, path, fields),
    );
    const listen = options.listen;
    if (listen !== undefined) port = await publicPort(folder, listen.choosePort);
    const terms = { watermarkBytes: options.watermarkBytes, listen: listen && { ...listen, port } };
    const started = await startRabbit(folder, terms, clock);
    if (ended) return;
    server = started;
    failedLooks = 0;
    problem = '';
    await options.onUp();
  };
  const look = async (at: RabbitServer): Promise<void> => {
    if (at.isAlive()) {
      refreshCertificate();
      const sights = await at.management.look().catch(() => undefined);
      failedLooks = sights === undefined ? failedLooks + 1 : 0;
      if (sights !== undefined) options.onLook(sights);
      if (failedLooks < FAILED_LOOKS) return;
      killRabbit(at);
    }
    server = undefined;
    problem = failedLooks >= FAILED_LOOKS ? 'its RabbitMQ did not answer and was ended' : 'its RabbitMQ ended';
    options.onDown(problem);
    await begin();
  };
  const refreshCertificate = (): void => {
    const pem = options.listen?.pem();
    if (pem === undefined || pem.certificate === written) return;
    writeCertificate(folder, pem);
    written = pem.certificate;
  };
  running = turn();

  return {
    publicPort: () => port,
    server: () => server,
    gatewaySecret: () => kept?.gatewaySecret ?? '',
    problem: () => problem,
    async end() {
      ended = true;
      stopTimer();
      // A start that is under way ends as soon as its process does.
      await endRabbit(folder, clock);
      await running;
      await callbacks?.close();
      await endRabbit(folder, clock);
    },
  };
}
