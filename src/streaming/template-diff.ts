/** What differs between two versions of the stream templates, and which live streams have terms that their template no longer gives. Pure. */
import type { LeaseTerms, Stream } from './stream.ts';
import type { Template } from './template.ts';

export interface TemplateChange {
  readonly template: string;
  readonly kind: 'added' | 'removed' | 'changed';
  /** `field: before -> after`, parameters by their path. */
  readonly differences: readonly string[];
}

type Shape = Readonly<Record<string, unknown>>;

/** By name; the order of fields and of files means nothing, a new title neither. */
export function diffTemplates(before: Iterable<Shape>, after: Iterable<Shape>): readonly TemplateChange[] {
  const [old, next] = [byName(before), byName(after)];
  const names = [...new Set([...old.keys(), ...next.keys()])].toSorted();
  return names.flatMap((template): TemplateChange[] => {
    const [was, is] = [old.get(template), next.get(template)];
    if (is === undefined) return [{ template, kind: 'removed', differences: [] }];
    if (was === undefined) return [{ template, kind: 'added', differences: [] }];
    const differences = differencesOf(was, is);
    return differences.length === 0 ? [] : [{ template, kind: 'changed', differences }];
  });
}

function byName(templates: Iterable<Shape>): ReadonlyMap<string, ReadonlyMap<string, string>> {
  return new Map([...templates].map(({ name, title: _, ...rest }) => [String(name), flat(rest)]));
}

function flat(shape: Shape, under = ''): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(shape).flatMap(([key, value]): [string, string][] =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? [...flat(value as Shape, `${under}${key}.`)]
        : value === undefined
          ? []
          : [[`${under}${key}`, typeof value === 'string' ? value : JSON.stringify(value)]],
    ),
  );
}

function differencesOf(was: ReadonlyMap<string, string>, is: ReadonlyMap<string, string>): string[] {
  return [...new Set([...was.keys(), ...is.keys()])]
    .filter((field) => was.get(field) !== is.get(field))
    .toSorted()
    .map((field) => `${field}: ${was.get(field) ?? 'absent'} -> ${is.get(field) ?? 'absent'}`);
}

/** Terms of a lease that its template alone decides. What a user may set is bounded when it is set, and holds from then on. */
const FIXED = [
  'engine',
  'mode',
  'kind',
  'queueType',
  'admission',
  'delivery',
  'overflow',
  'consumer',
  'maxMessageBytes',
  'maxConnections',
  'offlineLifetimeSeconds',
  'credentialLifetimeSeconds',
] as const satisfies readonly (keyof LeaseTerms & keyof Template)[];

export interface StaleStream {
  readonly stream: string;
  readonly project: string;
  readonly template: string;
  readonly differences: readonly string[];
}

/** Live streams whose lease has other terms than their template would give today; terms that an old lease does not state are not compared. */
export function staleStreams(
  streams: Iterable<Pick<Stream, 'id' | 'project' | 'template' | 'lease'>>,
  templates: ReadonlyMap<string, Template>,
): readonly StaleStream[] {
  return [...streams].flatMap(({ id, project, template: name, lease }): StaleStream[] => {
    const template = templates.get(name);
    const differences =
      template === undefined
        ? ['the template is no longer there']
        : [
            ...FIXED.filter((field) => lease[field] !== undefined && lease[field] !== template[field]).map(
              (field) => `${field}: ${String(lease[field])} -> ${String(template[field])}`,
            ),
            ...(lease.tls !== undefined && lease.tls !== (template.tls === 'required')
              ? [`tls: ${lease.tls ? 'required' : 'off'} -> ${template.tls}`]
              : []),
          ];
    return differences.length === 0 ? [] : [{ stream: id, project, template: name, differences }];
  });
}
