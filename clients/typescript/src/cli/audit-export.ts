/** Follows the pages of the audit log, oldest first, so that an export of any length holds one page in memory. */
import type { Client } from '../client.ts';
import { type AuditRecordText, cefLine } from './audit-cef.ts';

export interface ExportWish {
  readonly format: 'jsonl' | 'cef';
  readonly project?: string;
  readonly since?: string;
  readonly until?: string;
  /** Begin behind this record: how an export that broke off is continued. */
  readonly after?: number;
}

const PAGE_RECORDS = 1000;

/** A line, with its end, for each record. */
export async function* exportedLines(client: Client, wish: ExportWish): AsyncGenerator<string> {
  const line = wish.format === 'cef' ? cefLine : (record: AuditRecordText): string => JSON.stringify(record);
  const { format: _, after: begin = 0, ...filter } = wish;
  for (let after: number | null = begin; after !== null; ) {
    const page: { readonly records: readonly AuditRecordText[]; readonly next: number | null } = await client.call(
      'audit.list',
      { query: { ...filter, after, limit: PAGE_RECORDS } },
    );
    for (const record of page.records) yield `${line(record)}\n`;
    after = page.next;
  }
}
