/**
 * Reads one YAML file against a schema and says where each mistake is, by line and column, all at once.
 * Owns no state. A facility is code: an operator's editor must be able to jump to the fault.
 */
import { readFileSync } from 'node:fs';
import { isNode, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';

export interface YamlFault {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly detail: string;
}

/** Every fault of one or more facility files; the message lists `file:line:column: detail`, one a line. */
export class YamlError extends Error {
  override readonly name = 'YamlError';
  readonly faults: readonly YamlFault[];
  constructor(faults: readonly YamlFault[]) {
    super(faults.map((f) => `${f.file}:${f.line}:${f.column}: ${f.detail}`).join('\n'));
    this.faults = faults;
  }
}

/** Parses `text` (named `file` in faults). Throws YamlError with every syntax or schema fault. */
export function parseYaml<S extends z.ZodType>(file: string, text: string, schema: S): z.output<S> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const at = (offset: number, detail: string): YamlFault => {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col, detail };
  };
  if (document.errors.length > 0) throw new YamlError(document.errors.map((e) => at(e.pos[0], e.message)));
  const offsetOf = (path: readonly PropertyKey[]): number => {
    for (let depth = path.length; depth > 0; depth--) {
      const node: unknown = document.getIn(path.slice(0, depth), true);
      if (isNode(node) && node.range) return node.range[0];
    }
    return 0;
  };
  // maxAliasCount bounds alias expansion ("billion laughs"); the library throws when it is passed.
  const result = schema.safeParse(document.toJS({ maxAliasCount: 100 }));
  if (result.success) return result.data;
  throw new YamlError(
    result.error.issues.map((issue) => {
      const extra = issue.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0] ?? ''] : issue.path;
      const where = issue.path.length > 0 ? `${issue.path.join('.')}: ` : '';
      return at(offsetOf(extra), `${where}${issue.message}`);
    }),
  );
}

export function readYaml<S extends z.ZodType>(path: string, schema: S): z.output<S> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new YamlError([{ file: path, line: 1, column: 1, detail: `cannot be read: ${detail}` }]);
  }
  return parseYaml(path, text, schema);
}
