/** The verb `template diff`: reads a facility folder, and asks a server (or another folder) what is in force. */
import type { Client } from '../clients/typescript/src/index.ts';
import { loadFacility } from './facility/index.ts';
import type { VerbReport } from './policy-verbs.ts';
import { diffTemplates, loadTemplates, type TemplateChange } from './streaming/index.ts';

/** The templates of a folder; throws YamlError with all its faults. */
const templatesOf = (directory: string) => loadTemplates(loadFacility(directory)).values();

export interface TouchedStream {
  readonly id: string;
  readonly name: string;
  readonly project: string;
  readonly template: string;
  readonly expiresAt: string;
}

/** Between two folders: no server is asked, so no stream is named. `ok` is false where they differ. */
export function templateDiff(before: string, after: string): VerbReport {
  return reportOf(diffTemplates(templatesOf(before), templatesOf(after)), undefined);
}

/** Between what the server has in force and a folder, with the live streams that the caller may see. */
export async function templateDiffOnline(client: Client, after: string): Promise<VerbReport> {
  const { templates } = await client.call('template.list');
  const changes = diffTemplates(templates, templatesOf(after));
  const touched = new Set(changes.filter((c) => c.kind !== 'added').map((c) => c.template));
  const streams: TouchedStream[] = [];
  let before: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof pageOf>> = await pageOf(client, before);
    for (const { id, name, project, template, expiresAt } of page.streams)
      if (touched.has(template)) streams.push({ id, name, project, template, expiresAt });
    before = page.next;
  } while (before !== null);
  return reportOf(changes, streams);
}

const pageOf = (client: Client, before: string | null) =>
  client.call('stream.list', { query: before === null ? {} : { before } });

const KEEP = 'live streams keep the terms they were made with until they end; new ones get the new terms';

function reportOf(changes: readonly TemplateChange[], streams: readonly TouchedStream[] | undefined): VerbReport {
  const lines = changes.flatMap(({ template, kind, differences }) => {
    const own = streams?.filter((s) => s.template === template) ?? [];
    return [
      `template ${template} ${kind === 'changed' ? 'changes' : `is ${kind}`}`,
      ...differences.map((d) => `  ${d}`),
      ...own.map((s) => `  stream ${s.id} (${s.name} of ${s.project}) was made from it and lives until ${s.expiresAt}`),
      ...(streams === undefined || kind === 'added' || own.length > 0 ? [] : ['  no live stream was made from it']),
    ];
  });
  const note = streams !== undefined && streams.length > 0 ? [KEEP] : [];
  return {
    ok: changes.length === 0,
    document: streams === undefined ? { changes } : { changes, streams },
    text: changes.length === 0 ? 'no template differs\n' : `${[...lines, ...note].join('\n')}\n`,
  };
}
