/** Slurm's ways to write times, durations, counts and lists of hosts, read. Pure; what cannot be read is undefined, never wrong. */

/** `2026-11-23T10:20:24` in UTC, as the commands are run with TZ=UTC. */
export function timeOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(text)) return undefined;
  const ms = Date.parse(`${text}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

/** `1-02:03:04`, `03:04`, `10:00`; undefined for UNLIMITED and what is no duration. Seconds. */
export function secondsOf(text: string | undefined): number | undefined {
  const match = /^(?:(\d{1,5})-)?(?:(\d{1,4}):)?(\d{1,6}):(\d\d)$/.exec(text ?? '');
  if (match === null) return undefined;
  const [, days = '0', hours = '0', minutes = '0', seconds = '0'] = match;
  return Number(days) * 86_400 + Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
}

export function countOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** The wait status that squeue prints as exit_code. */
export function waitStatusOf(text: string | undefined): { readonly exitCode?: number; readonly signal?: number } {
  const status = countOf(text);
  if (status === undefined) return {};
  const signal = status & 0x7f;
  return signal === 0 ? { exitCode: (status >> 8) & 0xff } : { signal };
}

const MOST_HOSTS = 100_000;

/** `n[1-4,07-09],m3` to names; stops at 100,000. */
export function hostsOf(text: string | undefined): readonly string[] {
  if (text === undefined || text === '' || /^(\(null\)|None assigned|N\/A)$/.test(text)) return [];
  const hosts: string[] = [];
  for (const part of splitOutside(text))
    for (const name of expand(part)) if (hosts.push(name) >= MOST_HOSTS) return hosts;
  return hosts;
}

function splitOutside(text: string): readonly string[] {
  const parts: string[] = [];
  let [depth, from] = [0, 0];
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '[') depth += 1;
    else if (text[i] === ']') depth -= 1;
    else if (text[i] === ',' && depth === 0) {
      parts.push(text.slice(from, i));
      from = i + 1;
    }
  }
  parts.push(text.slice(from));
  return parts.filter((p) => p !== '');
}

function* expand(part: string): Generator<string> {
  const match = /^([^[\]]*)\[([^[\]]*)\](.*)$/s.exec(part);
  if (match === null) {
    yield part;
    return;
  }
  const [, before = '', list = '', after = ''] = match;
  for (const range of list.split(',')) {
    const [first = '', last = first] = range.split('-');
    if (!/^\d{1,9}$/.test(first) || !/^\d{1,9}$/.test(last)) continue;
    for (let n = Number(first), made = 0; n <= Number(last) && made < MOST_HOSTS; n++, made++)
      for (const rest of expand(after)) yield `${before}${String(n).padStart(first.length, '0')}${rest}`;
  }
}

/** `0-2,5,7-9%2` to task numbers; `(a…` with dots is what squeue cuts off. Bounded. */
export function tasksOf(text: string | undefined): readonly number[] | undefined {
  if (text === undefined || !/^\d/.test(text)) return undefined;
  const tasks: number[] = [];
  for (const range of text.replace(/%\d+$/, '').split(',')) {
    const match = /^(\d{1,8})(?:-(\d{1,8})(?::(\d{1,8}))?)?$/.exec(range);
    if (match === null) continue;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    const step = Math.max(1, Number(match[3] ?? 1));
    for (let n = first; n <= last && tasks.length < MOST_HOSTS; n += step) tasks.push(n);
  }
  return tasks.length === 0 ? undefined : tasks;
}

/** `Key=value` words of `scontrol show -o`; a value goes on until the next word that has a =. */
export function pairsOf(line: string): Readonly<Record<string, string>> {
  const pairs: Record<string, string> = {};
  for (const match of line.matchAll(/(?:^|\s)([A-Za-z][A-Za-z0-9_:/]*)=(.*?)(?=\s+[A-Za-z][A-Za-z0-9_:/]*=|\s*$)/gs))
    pairs[match[1] ?? ''] ??= match[2] ?? '';
  return pairs;
}
