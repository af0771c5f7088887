/** The tables of the room database/: the outbox, and the schema in which pg-boss keeps its own. Owns the schema's history. */
import { sql } from 'kysely';
import { APPLICATION_ROLE } from '../embedded/configuration.ts';
import type { RoomMigrations } from '../migrate.ts';

export const databaseMigrations: RoomMigrations = {
  room: 'database',
  migrations: {
    '001-outbox': {
      async up(db) {
        await sql`
          create table outbox_pending (
            id bigint generated always as identity primary key,
            topic text not null,
            key text not null,
            payload jsonb not null,
            emitted_at timestamptz not null default clock_timestamp()
          ) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)`.execute(db);
        await sql`
          create table outbox_event (
            position bigint primary key,
            topic text not null,
            key text not null,
            payload jsonb not null,
            emitted_at timestamptz not null
          )`.execute(db);
        await sql`create index outbox_event_topic on outbox_event (topic, position)`.execute(db);
        await sql`
          create table outbox_head (
            only_row boolean primary key default true check (only_row),
            position bigint not null
          )`.execute(db);
        await sql`insert into outbox_head (position) values (0)`.execute(db);
        await sql`
          create table outbox_consumer (
            name text primary key,
            position bigint not null,
            seen_at timestamptz not null default clock_timestamp()
          )`.execute(db);
        // The lock of the head is held until commit, so positions become visible in their order. What another caller
        // is just moving is still visible as pending here, hence waited for.
        await sql`
          create function outbox_sequence(most int) returns int language plpgsql as $$
          declare
            base bigint;
            moved int;
          begin
            if not exists (select from outbox_pending) then return 0; end if;
            select position into base from outbox_head for update;
            with taken as (
              delete from outbox_pending where id in (select id from outbox_pending order by id limit most) returning *
            ), added as (
              insert into outbox_event (position, topic, key, payload, emitted_at)
              select base + row_number() over (order by id), topic, key, payload, emitted_at from taken
              returning 1
            )
            select count(*) into moved from added;
            update outbox_head set position = base + moved where moved > 0;
            return moved;
          end $$`.execute(db);
      },
    },
    '002-queue-schema': {
      async up(db) {
        await sql`create schema if not exists pgboss`.execute(db);
        // pg-boss installs and upgrades its own tables; timers are no record, so the application may own them.
        await sql`
          do $$ begin
            if exists (select from pg_roles where rolname = ${sql.lit(APPLICATION_ROLE)}) then
              grant usage, create on schema pgboss to ${sql.id(APPLICATION_ROLE)};
            end if;
          end $$`.execute(db);
      },
    },
  },
};
