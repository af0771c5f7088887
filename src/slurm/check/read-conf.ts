/**
 * Reads a slurm.conf, or what `scontrol show config` prints, into settings by lower-case name. Pure; on any text it gives what it could read and says what it left out.
 * Include is not followed: which file it means depends on the host.
 */
export interface Conf {
  /** By name in lower case; what Slurm prints as (null) is absent. The last of several stands, as in Slurm. */
  readonly settings: ReadonlyMap<string, string>;
  readonly partitions: readonly ReadonlyMap<string, string>[];
  /** What was not read, for a person. */
  readonly notes: readonly string[];
}

const MOST_NOTES = 20;
const RECORDS = /^(nodename|downnodes|frontendname|nodeset|switchname|partitionname)$/;

export function parseConf(text: string): Conf {
  const settings = new Map<string, string>();
  const partitions: ReadonlyMap<string, string>[] = [];
  const notes: string[] = [];
  const note = (line: number, why: string): void => {
    if (notes.length < MOST_NOTES) notes.push(`line ${line}: ${why}`);
  };
  for (const { line, text: whole } of logicalLines(text)) {
    const include = /^include\s+(\S+)/i.exec(whole);
    if (include !== null) {
      note(line, `Include ${include[1]} was not read`);
      continue;
    }
    const found = pairs(whole);
    if (found === undefined) {
      note(line, `no Key=Value: ${JSON.stringify(whole.slice(0, 60))}`);
      continue;
    }
    const [first] = found;
    if (first !== undefined && RECORDS.test(first[0])) {
      if (first[0] === 'partitionname') partitions.push(new Map(found));
    } else for (const [key, value] of found) settings.set(key, value);
  }
  return { settings, partitions, notes };
}

/** Of `scontrol show config`: one `Key = value` a line, SlurmctldHost[0] with its number. */
export function parseShownConfig(text: string): Conf {
  const settings = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^([A-Za-z_0-9[\]]+)\s*= ?(.*)$/.exec(line);
    const [, key = '', value = ''] = match ?? [];
    if (key !== '' && value.trim() !== '(null)') settings.set(key.toLowerCase(), value.trim());
  }
  return { settings, partitions: [], notes: [] };
}

interface LogicalLine {
  readonly line: number;
  readonly text: string;
}

/** Without comments and blank lines. A backslash at the end joins the next line without a blank, one in a comment does not (as 22.05.8 reads it, tried). */
function* logicalLines(text: string): Generator<LogicalLine> {
  let [held, from] = ['', 0];
  for (const [i, raw] of text.split(/\r?\n/).entries()) {
    const plain = raw.replace(/(?<!\\)#.*$/s, '').trimEnd();
    if (held === '') from = i + 1;
    if (/(?<!\\)(\\\\)*\\$/.test(plain)) {
      held += plain.slice(0, -1);
      continue;
    }
    const whole = `${held}${plain}`.trim();
    held = '';
    if (whole !== '') yield { line: from, text: whole };
  }
  if (held.trim() !== '') yield { line: from, text: held.trim() };
}

/** `Key=Value Key="Value with blanks"`; undefined where something else stands in the line. */
function pairs(line: string): readonly (readonly [string, string])[] | undefined {
  const found: (readonly [string, string])[] = [];
  const pattern = /\s*([A-Za-z_][A-Za-z0-9_]*)\s*[+-]?=\s*("[^"]*"|\S*)/y;
  while (pattern.lastIndex < line.length) {
    const match = pattern.exec(line);
    if (match === null) return undefined;
    const [, key = '', value = ''] = match;
    found.push([key.toLowerCase(), value.replace(/^"(.*)"$/s, '$1').replaceAll('\\#', '#')]);
  }
  return found.length === 0 ? undefined : found;
}

/** Seconds of `30`, `30 sec`, `5 min`, `00:05:00`, `1-0`; Infinity where it is unlimited; undefined where it is none of these. */
export function secondsIn(text: string): number | undefined {
  if (/^(infinite|unlimited)$/i.test(text)) return Number.POSITIVE_INFINITY;
  const plain = /^(-?\d{1,12})(?: ?(sec|min|hr|usec|msec))?$/.exec(text);
  if (plain !== null) return Number(plain[1]) * ({ min: 60, hr: 3600, usec: 1e-6, msec: 1e-3 }[plain[2] ?? ''] ?? 1);
  const clock = /^(?:(\d{1,6})-)?(\d{1,6})(?::(\d{1,2}))?(?::(\d{1,2}))?$/.exec(text);
  if (clock === null) return undefined;
  const [, days = '0', hours = '0', minutes = '0', seconds = '0'] = clock;
  return Number(days) * 86_400 + Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
}
