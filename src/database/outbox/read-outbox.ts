/**
 * A reader of the outbox on a connection of its own: woken by NOTIFY, or every 400 ms; connects anew when cut. A named
 * consumer has a durable position and is read by one reader at a time, whichever process holds its session lock; every
 * event reaches it at least once, in order. State: connection, position.
 */
import type pg from 'pg';
import type { Clock } from '../../clock.ts';
import type { Database } from '../connect.ts';
import type { DatabaseLog } from '../log.ts';
import { OUTBOX_CHANNEL, type OutboxEvent } from './outbox.ts';

export interface ReadOutboxOptions {
  /** Empty: every topic. */
  readonly topics: readonly string[];
  /** Durable name of the reader. Absent: every such reader sees every event from `from` on, and forgets when it ends. */
  readonly consumer?: string;
  /** Where to begin when there is no durable position: the oldest event kept, behind the newest, or after a position. */
  readonly from: 'oldest' | 'now' | number;
  /** Must cope with an event it has seen before. What it throws is logged, and the same events come again. */
  handle(events: readonly OutboxEvent[]): Promise<void>;
  /** Events in one call of `handle` at most; 100 unless told. */
  readonly batch?: number;
  readonly clock: Clock;
  readonly log: DatabaseLog;
}

export interface OutboxReader {
  /** Resolves when the reader has its starting position: from then on no event is missed. */
  readonly started: Promise<void>;
  /** Position up to which all is handled. */
  position(): number;
  /** Waits for the running `handle`, keeps the position, closes the connection. */
  stop(): Promise<void>;
}

const POLL_EVERY_MS = 400;
const LONGEST_BACK_OFF_MS = 10_000;
const SEQUENCE_AT_ONCE = 1_000;
/** A consumer whose topics are quiet still moves its durable position along, in steps of at least this many events. */
const IDLE_STEP_EVENTS = 256;
const SEEN_EVERY_MS = 60_000;

interface Session {
  readonly client: pg.Client;
  broken: boolean;
  /** Whether this session is the one that reads for the consumer. */
  holds: boolean;
  saved: number;
  savedAt: number;
}

export function readOutbox(database: Database, options: ReadOutboxOptions): OutboxReader {
  const { topics, consumer, handle, batch = 100, clock, log } = options;
  const started = Promise.withResolvers<void>();
  let position: number | undefined;
  let stopped = false;
  let current: Session | undefined;
  let wake = (): void => {};
  let woken = false;

  const rouse = (): void => {
    woken = true;
    wake();
  };
  const rest = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      if (woken || stopped) {
        woken = false;
        resolve();
        return;
      }
      const cancel = clock.after(ms, () => wake());
      wake = () => {
        cancel();
        wake = () => {};
        woken = false;
        resolve();
      };
    });

  const open = async (): Promise<Session> => {
    const client = database.dedicatedClient(
      consumer === undefined ? 'beamway-outbox' : `beamway-outbox-${consumer}`.slice(0, 63),
    );
    const session: Session = {
      client,
      broken: false,
      holds: consumer === undefined,
      saved: -1,
      savedAt: clock.monotonic(),
    };
    // Only the present session may rouse: one that is being closed would undo the pause after a failure.
    const onBroken = (): void => {
      session.broken = true;
      if (session === current) rouse();
    };
    client.on('error', onBroken);
    client.on('end', onBroken);
    client.on('notification', (note) => {
      if (session === current && (topics.length === 0 || topics.includes(note.payload ?? ''))) rouse();
    });
    try {
      await client.connect();
      await client.query(`listen ${OUTBOX_CHANNEL}`);
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    }
    return session;
  };

  /** Finds the starting position; false while another session reads for this consumer. */
  const settle = async (session: Session): Promise<boolean> => {
    if (consumer === undefined) {
      position ??= await startingPosition(session.client, options.from);
      started.resolve();
      return true;
    }
    if (!session.holds) {
      const lock = await session.client.query<{ held: boolean }>(
        'select pg_try_advisory_lock(hashtextextended($1, 0)) as held',
        [`beamway-outbox ${consumer}`],
      );
      if (lock.rows[0]?.held !== true) return false;
      position = await durablePosition(session.client, consumer, options.from);
      session.saved = position;
      session.holds = true;
    }
    started.resolve();
    return true;
  };

  const save = async (session: Session, step: number): Promise<void> => {
    const due = clock.monotonic() - session.savedAt >= SEEN_EVERY_MS;
    if (consumer === undefined || position === undefined || (position - session.saved < step && !due)) return;
    await session.client.query(
      'update outbox_consumer set position = greatest(position, $2), seen_at = clock_timestamp() where name = $1',
      [consumer, position],
    );
    session.saved = position;
    session.savedAt = clock.monotonic();
  };

  const drain = async (session: Session): Promise<void> => {
    while (!stopped && !session.broken && position !== undefined) {
      const moved = await session.client.query<{ moved: number }>('select outbox_sequence($1) as moved', [
        SEQUENCE_AT_ONCE,
      ]);
      const { events, through } = await eventsAfter(session.client, position, { topics, batch });
      if (events.length > 0) {
        await handle(events);
        position = events.at(-1)?.position ?? position;
        await save(session, 1);
      }
      if (events.length < batch) {
        position = Math.max(position, through);
        await save(session, IDLE_STEP_EVENTS);
        if (moved.rows[0]?.moved !== SEQUENCE_AT_ONCE) return;
      }
    }
  };

  const close = async (): Promise<void> => {
    const closing = current;
    current = undefined;
    await closing?.client.end().catch(() => {});
  };

  const run = async (): Promise<void> => {
    for (let failures = 0; !stopped; ) {
      let pauseMs = POLL_EVERY_MS;
      try {
        if (current?.broken === true) await close();
        current ??= await open();
        if (await settle(current)) await drain(current);
        failures = 0;
      } catch (error) {
        failures++;
        pauseMs = Math.min(50 * 2 ** failures, LONGEST_BACK_OFF_MS);
        log.warn({ consumer, error: String(error), againInMs: pauseMs }, 'outbox: reading failed');
        // Whatever state the connection is in, a new one begins at the durable position.
        await close();
        woken = false;
      }
      await rest(pauseMs);
    }
    if (current !== undefined) await save(current, 1).catch(() => {});
    await close();
  };

  const running = run();
  return {
    started: started.promise,
    position: () => position ?? 0,
    async stop() {
      stopped = true;
      wake();
      await running;
      // Nobody waits for ever for a reader that never got its turn.
      started.resolve();
    },
  };
}

async function startingPosition(client: pg.Client, from: ReadOutboxOptions['from']): Promise<number> {
  if (typeof from === 'number') return from;
  if (from === 'oldest') return 0;
  const head = await client.query<{ position: number }>('select position from outbox_head');
  return head.rows[0]?.position ?? 0;
}

async function durablePosition(client: pg.Client, consumer: string, from: ReadOutboxOptions['from']): Promise<number> {
  const start = await startingPosition(client, from);
  const found = await client.query<{ position: number }>(
    `insert into outbox_consumer (name, position) values ($1, $2)
     on conflict (name) do update set seen_at = clock_timestamp() returning position`,
    [consumer, start],
  );
  return found.rows[0]?.position ?? start;
}

/** Events after `position` and the position through which there is nothing else for these topics. */
async function eventsAfter(
  client: pg.Client,
  position: number,
  wanted: { readonly topics: readonly string[]; readonly batch: number },
): Promise<{ readonly events: readonly OutboxEvent[]; readonly through: number }> {
  // The head is read first: whatever is added in between lies beyond it.
  const head = await client.query<{ position: number }>('select position from outbox_head');
  const through = head.rows[0]?.position ?? position;
  if (through <= position) return { events: [], through };
  const found = await client.query<OutboxEvent>(
    `select position, topic, key, payload, emitted_at as "emittedAt" from outbox_event
     where position > $1 and position <= $2 and ($3::text[] = '{}' or topic = any($3)) order by position limit $4`,
    [position, through, wanted.topics, wanted.batch],
  );
  return { events: found.rows, through };
}
