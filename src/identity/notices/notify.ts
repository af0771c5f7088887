/** PORT: how a notice reaches people. Adapters: a command of people.yaml (argv, one JSON document on its standard input), and the log. */
import { runCommand } from '../people/sources/run-command.ts';
import type { Notice } from './notice.ts';

export interface Addressee {
  readonly subject: string;
  readonly name: string | null;
  readonly mail: string | null;
}

export interface Notifier {
  readonly name: string;
  /** Rejects where it did not reach anybody; it is tried again, so that the same notice may come twice. */
  deliver(notice: Notice, to: readonly Addressee[]): Promise<void>;
}

const COMMAND_TIMEOUT_MS = 30_000;

export function commandNotifier(argv: readonly string[]): Notifier {
  return {
    name: 'command',
    async deliver({ id, kind, thing, project, days, endsAt, text }, to) {
      const input = JSON.stringify({ id, kind, thing, project, days, endsAt: endsAt.toISOString(), text, to });
      await runCommand(argv, { timeoutMs: COMMAND_TIMEOUT_MS, input });
    },
  };
}

/** Subjects, never mail addresses. */
export function logNotifier(log: { info(fields: object, text: string): void }): Notifier {
  return {
    name: 'log',
    async deliver({ id, thing, days, endsAt, text }, to) {
      log.info({ notice: id, thing, days, endsAt: endsAt.toISOString(), to: to.map((a) => a.subject) }, text);
    },
  };
}
