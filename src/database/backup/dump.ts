/** What a dump of the database holds; written by dump-database.ts, read by load-database.ts. Pure types with their schema. */
import { z } from 'zod';

export const databaseDumpSchema = z.strictObject({
  /** `room/name` of every migration that had run, in order: only the same schema takes the rows back. */
  migrations: z.array(z.string()),
  /** In an order in which every row finds what it refers to. */
  tables: z.array(
    z.strictObject({
      name: z.string(),
      columns: z.array(z.string()),
      rows: z.int(),
      /** gzip of PostgreSQL's text COPY, beside the manifest. */
      file: z.string(),
      /** SHA-256 of the file, hex. */
      sha256: z.string(),
    }),
  ),
  partitions: z.array(z.strictObject({ name: z.string(), parent: z.string(), bound: z.string() })),
  sequences: z.array(z.strictObject({ name: z.string(), last: z.string() })),
});

export type DatabaseDump = z.output<typeof databaseDumpSchema>;

export class DumpError extends Error {
  override readonly name = 'DumpError';
}
