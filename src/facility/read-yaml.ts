/**
 * Reads one YAML file against a schema and says where each mistake is, by line and column, all at once.
 * Owns no state. A facility is code: an operator's editor must be able to jump to the fault.
 */
import { readFileSync } from 'node:fs';
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument, visit } from 'yaml';
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

/** A checked value that still knows where each of its parts was written, for faults found later (names that do not exist). */
export interface YamlSource<T> {
  readonly value: T;
  /** A fault at the value of `path`, or at what is nearest to it. */
  fault(path: readonly PropertyKey[], detail: string): YamlFault;
}

/** Bounds the expansion of aliases ("billion laughs"). */
const MOST_ALIASES = 100;

/** Parses `text` (named `file` in faults). Throws YamlError with every syntax or schema fault, and nothing else. */
export function parseYamlSource<S extends z.ZodType>(file: string, text: string, schema: S): YamlSource<z.output<S>> {
  const lines = new LineCounter();
  const at = (offset: number, detail: string): YamlFault => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1), detail };
  };
  const document = orFault(
    () => parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, logLevel: 'error' }),
    (detail) => at(0, detail),
  );
  if (document.errors.length > 0) throw new YamlError(document.errors.map((e) => at(e.pos[0], e.message)));
  // The library throws for an alias without its anchor, and where there are too many.
  const plain: unknown = orFault(
    () => document.toJS({ maxAliasCount: MOST_ALIASES }),
    (detail) => at(aliasOffset(document), detail),
  );
  const result = schema.safeParse(plain);
  if (result.success) {
    return { value: result.data, fault: (path, detail) => at(offsetOf(document, path), detail) };
  }
  throw new YamlError(
    result.error.issues.flatMap((issue) => {
      const where = issue.path.length > 0 ? `${issue.path.join('.')}: ` : '';
      if (issue.code !== 'unrecognized_keys') return [at(offsetOf(document, issue.path), `${where}${issue.message}`)];
      return issue.keys.map((key) => at(keyOffset(document, issue.path, key), `${where}unknown field ${key}`));
    }),
  );
}

export function parseYaml<S extends z.ZodType>(file: string, text: string, schema: S): z.output<S> {
  return parseYamlSource(file, text, schema).value;
}

export function readYamlSource<S extends z.ZodType>(path: string, schema: S): YamlSource<z.output<S>> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new YamlError([{ file: path, line: 1, column: 1, detail: `cannot be read: ${detail}` }]);
  }
  return parseYamlSource(path, text, schema);
}

export function readYaml<S extends z.ZodType>(path: string, schema: S): z.output<S> {
  return readYamlSource(path, schema).value;
}

function orFault<T>(work: () => T, fault: (detail: string) => YamlFault): T {
  try {
    return work();
  } catch (cause) {
    // The parser recurses: nesting without end exhausts the stack.
    if (cause instanceof RangeError) throw new YamlError([fault('is nested too deeply')]);
    throw new YamlError([fault(cause instanceof Error ? cause.message : String(cause))]);
  }
}

/** Where the value at `path` begins; where there is none, what holds it. */
function offsetOf(document: Document.Parsed, path: readonly PropertyKey[]): number {
  for (let depth = path.length; depth > 0; depth--) {
    const node: unknown = document.getIn(path.slice(0, depth), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}

function keyOffset(document: Document.Parsed, path: readonly PropertyKey[], key: string): number {
  const map: unknown = path.length === 0 ? document.contents : document.getIn(path, true);
  const pair = isMap(map) ? map.items.find((p) => isScalar(p.key) && String(p.key.value) === key) : undefined;
  return isScalar(pair?.key) && pair.key.range ? pair.key.range[0] : offsetOf(document, path);
}

/** The first alias that names no anchor, else the first one at all. */
function aliasOffset(document: Document.Parsed): number {
  const found: number[] = [];
  const dangling: number[] = [];
  visit(document, {
    Alias(_key, alias) {
      const offset = alias.range?.[0] ?? 0;
      found.push(offset);
      if (alias.resolve(document) === undefined) dangling.push(offset);
    },
  });
  return dangling[0] ?? found[0] ?? 0;
}
