/**
 * Terminals in running jobs over HTTP: starts one through the cluster's scheduler and hands out the ticket of its WebSocket. Bounded for each project; each end of one is an
 * audit record, with how long it was, how much passed, and why it ended.
 */
import type { AuditLog } from '../../audit/index.ts';
import type { Clock, EpochMs } from '../../clock.ts';
import { type ComputeDeps, type Job, jobById, openTerminal } from '../../compute/index.ts';
import type { Caller } from '../../identity/index.ts';
import { resourceOf } from '../../policy/index.ts';
import { Problem } from '../../problems.ts';
import { TERMINAL_FRAME_BYTES } from '../../slurm/contract/index.ts';
import { TERMINAL_DIAL_BACK } from '../contract/sockets.ts';
import type { Routes } from '../route.ts';
import { type JoinedTerminal, joinTerminal, type TerminalEnd } from '../sockets/join-terminal.ts';
import type { SocketGrant, Tickets } from '../sockets/tickets.ts';

export interface TerminalRoutesDeps extends ComputeDeps {
  readonly tickets: Tickets;
  readonly audit: AuditLog;
  readonly clock: Clock;
}

/** Of one project at one replica: the agent's own bound is for the whole cluster. */
const MOST_OF_PROJECT = 16;

export interface TerminalRoutes {
  readonly routes: Pick<Routes, 'job.terminal'>;
  /** Ends all of them, also those that nobody has come to look at. */
  stop(): void;
}

export function terminalRoutes(deps: TerminalRoutesDeps): TerminalRoutes {
  const { clock, tickets } = deps;
  /** Each with its project. */
  const open = new Map<JoinedTerminal, string>();
  const routes: TerminalRoutes['routes'] = {
    'job.terminal': {
      async locate({ params }) {
        const job = await jobById(deps.db, params.id);
        if (job === undefined) throw new Problem('not-found', `No job ${params.id}, or none that you may see.`);
        const resource = { ...resourceOf(deps.facility, job), tier: job.spec.tier };
        return { resource, label: `job/${job.id}`, row: job };
      },
      async handle({ caller, located, body, requestId, standing }) {
        const job = located.row as Job;
        const { project } = job;
        if ([...open.values()].filter((p) => p === project).length >= MOST_OF_PROJECT)
          throw new Problem('limit-reached', `Project ${project} has ${MOST_OF_PROJECT} terminals open here.`, {
            limit: 'terminals',
          });
        const path = `/beamway/v1/jobs/${job.id}/terminal`;
        const grant = {
          purpose: 'terminal',
          path,
          holder: `job/${job.id}`,
          allowsOrigin: (origin: string | undefined) => origin === undefined,
          maxFrameBytes: TERMINAL_FRAME_BYTES,
          check: standing,
        } satisfies Omit<SocketGrant, 'open'>;
        const beganAt = clock.now();
        let stop = (): void => undefined;
        const terminal = joinTerminal(clock, (end) => {
          stop();
          open.delete(terminal);
          recordEnd(deps, { caller, job, requestId, beganAt }, end);
        });
        open.set(terminal, project);
        const back = tickets.issue({
          ...grant,
          purpose: 'terminal-agent',
          path: TERMINAL_DIAL_BACK.replace('{id}', job.cluster),
          open: terminal.agent,
        });
        const command = body.program === undefined ? [] : [body.program, ...body.arguments];
        const { columns, rows } = body;
        try {
          const order = { ticket: back.text, columns, rows, command };
          await openTerminal(deps, job, { order, by: { person: caller.subject, requestId } });
        } catch (cause) {
          terminal.end('it could not be started');
          throw cause;
        }
        const { text, expiresAtMs } = tickets.issue({
          ...grant,
          open(socket) {
            stop();
            terminal.person(socket);
          },
        });
        stop = clock.after(expiresAtMs - clock.now(), () => terminal.end('nobody came to look'));
        return { url: path, ticket: text, expiresAt: new Date(expiresAtMs).toISOString() };
      },
    },
  };
  return {
    routes,
    stop() {
      for (const terminal of [...open.keys()]) terminal.end('this replica is shutting down');
    },
  };
}

interface Begun {
  readonly caller: Caller;
  readonly job: Job;
  readonly requestId: string;
  readonly beganAt: EpochMs;
}

function recordEnd(deps: TerminalRoutesDeps, { caller, job, requestId, beganAt }: Begun, end: TerminalEnd): void {
  const now = deps.clock.now();
  const entry = {
    at: new Date(now),
    requestId,
    phase: 'event',
    callerKind: caller.kind,
    callerId: caller.id,
    subject: caller.subject,
    project: job.project,
    action: 'job.terminal-ended',
    resource: `job/${job.id}`,
    status: null,
    detail: { seconds: Math.round((now - beganAt) / 1000), ...end },
  } as const;
  deps.audit.append(entry).catch((cause: unknown) => {
    deps.log.warn({ job: job.id, err: cause }, "a terminal's end could not be recorded");
  });
}
