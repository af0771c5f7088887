/**
 * CSV (RFC 4180): a header, quoted fields with doubled quotes, CRLF or LF, an optional UTF-8 byte order mark. Pure; a fault names its line, the first
 * one being 1, as an editor counts them.
 */

export interface CsvFault {
  readonly file: string;
  readonly line: number;
  readonly detail: string;
}

/** Every fault of a file at once. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
  readonly faults: readonly CsvFault[];
  constructor(faults: readonly CsvFault[]) {
    super(faults.map((f) => `${f.file}:${f.line}: ${f.detail}`).join('\n'));
    this.faults = faults;
  }
}

export interface CsvRow {
  readonly line: number;
  readonly fields: Readonly<Record<string, string>>;
}

/** Records with the line on which each begins. Throws SourceError for a quote that is not closed or stands where none may. */
export function csvRecords(
  file: string,
  text: string,
): readonly { readonly line: number; readonly cells: readonly string[] }[] {
  const records: { line: number; cells: string[] }[] = [];
  let at = text.startsWith('\ufeff') ? 1 : 0;
  let line = 1;
  while (at < text.length) {
    const record = { line, cells: [] as string[] };
    for (;;) {
      let cell = '';
      if (text[at] === '"') {
        const opened = line;
        at += 1;
        for (;;) {
          const close = text.indexOf('"', at);
          if (close < 0)
            throw new SourceError([{ file, line: opened, detail: 'a quote is opened here and never closed' }]);
          const part = text.slice(at, close);
          cell += part;
          line += newlines(part);
          at = close + 1;
          if (text[at] !== '"') break;
          cell += '"';
          at += 1;
        }
        const next = text[at];
        if (next !== undefined && next !== ',' && next !== '\n' && next !== '\r')
          throw new SourceError([
            { file, line, detail: 'after a closing quote only a comma or the line’s end may come' },
          ]);
      } else {
        const end = endOfCell(text, at);
        cell = text.slice(at, end);
        if (cell.includes('"'))
          throw new SourceError([
            { file, line, detail: 'a quote inside a field: quote the whole field and double the quote' },
          ]);
        at = end;
      }
      record.cells.push(cell);
      if (text[at] !== ',') break;
      at += 1;
    }
    if (text[at] === '\r') at += 1;
    if (text[at] === '\n') at += 1;
    line += 1;
    // An empty line is none; a line of one empty field cannot be told from it.
    if (record.cells.length > 1 || record.cells[0] !== '') records.push(record);
  }
  return records;
}

function endOfCell(text: string, from: number): number {
  for (let i = from; i < text.length; i++) {
    const c = text[i];
    if (c === ',' || c === '\n' || c === '\r') return i;
  }
  return text.length;
}

/** As csvRecords counts them: CRLF is one, and so is a CR or LF alone. */
function newlines(text: string): number {
  return text.match(/\r\n|\r|\n/g)?.length ?? 0;
}

export interface CsvColumns {
  readonly required: readonly string[];
  readonly optional: readonly string[];
}

/** Rows by the names in the header; fields lose the blanks around them. Throws SourceError with every fault. */
export function csvRows(file: string, text: string, columns: CsvColumns): readonly CsvRow[] {
  const [header, ...records] = csvRecords(file, text);
  if (header === undefined)
    throw new SourceError([{ file, line: 1, detail: `no header; write ${columns.required.join(',')}` }]);
  const names = header.cells.map((c) => c.trim().toLowerCase());
  const known = new Set([...columns.required, ...columns.optional]);
  const faults: CsvFault[] = [
    ...names.flatMap((name, i) => {
      if (!known.has(name))
        return [
          {
            file,
            line: header.line,
            detail: `unknown column ${JSON.stringify(name)}; known are ${[...known].join(', ')}`,
          },
        ];
      return names.indexOf(name) < i ? [{ file, line: header.line, detail: `column ${name} is there twice` }] : [];
    }),
    ...columns.required
      .filter((name) => !names.includes(name))
      .map((name) => ({ file, line: header.line, detail: `column ${name} is missing` })),
    ...records
      .filter((r) => r.cells.length !== names.length)
      .map((r) => ({ file, line: r.line, detail: `${r.cells.length} fields, where the header has ${names.length}` })),
  ];
  if (faults.length > 0) throw new SourceError(faults);
  return records.map((r) => ({
    line: r.line,
    fields: Object.fromEntries(names.map((name, i) => [name, (r.cells[i] ?? '').trim()])),
  }));
}
