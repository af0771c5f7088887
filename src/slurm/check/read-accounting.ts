/** Reads the tables that `sacctmgr -P show qos` and `sacctmgr -P show assoc` print, by the names in their first line: sites give us files made by other versions. Pure. */
import { SlurmFailure } from '../contract/index.ts';
import { secondsIn } from './read-conf.ts';

export interface QosRow {
  readonly name: string;
  readonly priority: number;
  readonly graceSeconds: number;
  readonly preempts: readonly string[];
  readonly preemptMode: string;
}

export interface AssociationRow {
  readonly account: string;
  /** Empty: of the account itself. */
  readonly user: string;
  readonly qos: readonly string[];
  readonly defaultQos: string;
}

const words = (text: string | undefined): readonly string[] => (text ?? '').split(',').filter((w) => w !== '');

/** SlurmFailure `invalid` where it is no such table. */
export function parseQosTable(text: string): readonly QosRow[] {
  return table(text, ['Name', 'Priority', 'Preempt']).map((row) => ({
    name: row.get('name') ?? '',
    priority: Number(row.get('priority')) || 0,
    graceSeconds: secondsIn(row.get('gracetime') ?? '') ?? 0,
    preempts: words(row.get('preempt')),
    preemptMode: (row.get('preemptmode') ?? '').toLowerCase(),
  }));
}

/** SlurmFailure `invalid` where it is no such table. */
export function parseAssociationTable(text: string): readonly AssociationRow[] {
  return table(text, ['Account', 'User', 'QOS', 'Def QOS']).map((row) => ({
    account: row.get('account') ?? '',
    user: row.get('user') ?? '',
    qos: words(row.get('qos')),
    defaultQos: row.get('def qos') ?? '',
  }));
}

function table(text: string, needed: readonly string[]): readonly ReadonlyMap<string, string>[] {
  const [first = '', ...lines] = text.split('\n').map((l) => l.replace(/\r$/, ''));
  const names = first.split('|').map((n) => n.toLowerCase());
  const missing = needed.filter((n) => !names.includes(n.toLowerCase()));
  if (missing.length > 0)
    throw new SlurmFailure({
      kind: 'invalid',
      message: `not a table of sacctmgr -P with its first line: no column ${missing.join(', ')}`,
    });
  return lines
    .filter((l) => l !== '')
    .map((line) => {
      const cells = line.split('|');
      return new Map(names.map((name, i) => [name, cells[i] ?? '']));
    });
}
