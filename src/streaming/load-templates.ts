/** Reads the stream templates of a facility folder and checks them against its environments, all faults together. */
import { basename, join } from 'node:path';
import { type Facility, readYaml, YamlError, type YamlFault, yamlFilesIn } from '../facility/index.ts';
import { type Template, templateSchema } from './template.ts';

export function loadTemplates(facility: Facility): ReadonlyMap<string, Template> {
  const faults: YamlFault[] = [];
  const templates = new Map<string, Template>();
  for (const file of yamlFilesIn(join(facility.directory, 'stream-templates'))) {
    try {
      const template = readYaml(file, templateSchema);
      if (basename(file, '.yaml') !== template.name)
        faults.push({ file, line: 1, column: 1, detail: `the file's name must be ${template.name}.yaml` });
      templates.set(template.name, template);
    } catch (error) {
      if (!(error instanceof YamlError)) throw error;
      faults.push(...error.faults);
    }
  }
  for (const environment of facility.environments.values()) {
    const file = join(facility.directory, 'environments', `${environment.name}.yaml`);
    for (const name of environment.streamTemplates) {
      const template = templates.get(name);
      if (template === undefined)
        faults.push({ file, line: 1, column: 1, detail: `stream template ${name} is not in stream-templates/` });
      else if (template.admission === 'address' && environment.enclave !== 'open') {
        faults.push({
          file,
          line: 1,
          column: 1,
          detail: `stream template ${name} admits by address alone: open enclave only`,
        });
      }
    }
  }
  if (faults.length > 0) throw new YamlError(faults);
  return templates;
}
