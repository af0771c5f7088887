/** For tests: a strict reader of Prometheus's text format 0.0.4. Throws at the first line that a scraper could take amiss. */
import assert from 'node:assert/strict';

export interface ReadSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const VALUE = '(NaN|[+-]Inf|[+-]?\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?)';
const LINE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? ${VALUE}$`);
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,(?=.)|$)/;

export function readExposition(text: string): readonly ReadSample[] {
  assert.ok(text.endsWith('\n'), 'the last line ends');
  const samples: ReadSample[] = [];
  const ids = new Set<string>();
  const families = new Set<string>();
  let [family, type] = ['', ''];
  for (const line of text.slice(0, -1).split('\n')) {
    const [, what, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (what === 'HELP') {
      assert.ok(!families.has(name), `${name} comes once`);
      families.add(name);
      assert.match(rest, /^(?:[^\\]|\\\\|\\n)*$/);
      [family, type] = [name, ''];
      continue;
    }
    if (what === 'TYPE') {
      assert.equal(name, family, 'TYPE follows its HELP');
      assert.match(rest, /^(counter|gauge|histogram)$/);
      type = rest;
      continue;
    }
    const [, sample = '', labelText = '', value = ''] = LINE.exec(line) ?? [];
    assert.notEqual(sample, '', `not a sample: ${line}`);
    assert.notEqual(type, '', `${sample} has its type before it`);
    const suffix = sample.slice(family.length);
    assert.ok(sample.startsWith(family), `${sample} stands under ${family}`);
    assert.ok(type === 'histogram' ? ['_bucket', '_sum', '_count'].includes(suffix) : suffix === '', line);
    if (type === 'counter') assert.match(sample, /_total$/);
    const labels = readLabels(labelText);
    const id = `${sample}${JSON.stringify(Object.entries(labels).sort())}`;
    assert.ok(!ids.has(id), `${id} comes once`);
    ids.add(id);
    samples.push({ name: sample, labels, value: Number(value.replace('Inf', 'Infinity')) });
  }
  return samples;
}

function readLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (let rest = text; rest !== ''; ) {
    const [all = '', name = '', value = ''] = LABEL.exec(rest) ?? [];
    assert.notEqual(all, '', `not a label: ${rest}`);
    assert.ok(!Object.hasOwn(labels, name), `${name} comes once`);
    labels[name] = value.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
    rest = rest.slice(all.length);
  }
  return labels;
}
