/**
 * One audit record as a line of the Common Event Format, for a site's log collector: `CEF:0|vendor|product|version|event class|name|severity|extension`.
 * Escaping after ArcSight's "Implementing CEF", revision 25: pipe and backslash in the header, equals sign, backslash and line ends in the extension. Pure.
 */
import type { Result } from '../client.ts';

export type AuditRecordText = Result<'audit.show'>;

const VENDOR = 'Beamway';
const PRODUCT = 'gateway';
const VERSION = '1';

/**
 * 0 to 10 as the format has it: 8 a denial, 7 a failure of ours (5xx), 9 what touches the log itself or shuts the facility, 4 a request that was wrong,
 * 2 what a part of Beamway or a node did, 3 everything else. docs/operate/audit.md holds the table.
 */
export function severityOf(record: Pick<AuditRecordText, 'phase' | 'status' | 'action'>): number {
  if (record.action === 'audit.pruned' || record.action.startsWith('lockdown.')) return 9;
  if (record.phase === 'denied') return 8;
  if (record.status !== null && record.status >= 500) return 7;
  if (record.status !== null && record.status >= 400) return 4;
  return record.phase === 'event' ? 2 : 3;
}

/** Without a line end. */
export function cefLine(record: AuditRecordText): string {
  const from = record.detail['from'];
  const extension: readonly (readonly [string, string | number | null | undefined])[] = [
    ['rt', Date.parse(record.at)],
    ['externalId', record.sequence],
    ['suser', record.subject],
    ['suid', record.callerId],
    ['spriv', record.callerKind],
    ['src', typeof from === 'string' && from !== '' ? from : undefined],
    ['act', record.action],
    ['outcome', record.phase],
    ['reason', record.status],
    ['request', record.resource === '' ? undefined : record.resource],
    ['cs1Label', 'requestId'],
    ['cs1', record.requestId],
    ['cs2Label', 'project'],
    ['cs2', record.project],
    ['cs3Label', 'digest'],
    ['cs3', record.digest],
    ['msg', JSON.stringify(record.detail)],
  ];
  const fields = extension.flatMap(([key, value]) =>
    value === undefined || value === null ? [] : [`${key}=${extensionValue(String(value))}`],
  );
  const header = ['CEF:0', VENDOR, PRODUCT, VERSION, record.action, `${record.action} ${record.phase}`].map(
    (text, i) => (i === 0 ? text : headerField(text)),
  );
  return `${header.join('|')}|${severityOf(record)}|${fields.join(' ')}`;
}

/** A header is one line: a line end in it, for which the format has no escape, becomes a space. */
function headerField(text: string): string {
  return text.replace(/[\\|]/g, '\\$&').replace(/\r\n|[\r\n]/g, ' ');
}

function extensionValue(text: string): string {
  return text.replace(/[\\=]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
}
