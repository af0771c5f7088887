/** CEF, read back by a parser written after the format's description and not after the writer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AuditRecordText, cefLine, severityOf } from './audit-cef.ts';

interface ParsedCef {
  readonly header: readonly string[];
  readonly extension: Readonly<Record<string, string>>;
}

/** Splits at unescaped pipes, then at ` key=` where the equals sign is not escaped. */
function parseCef(line: string): ParsedCef {
  const header: string[] = [];
  let field = '';
  let i = 0;
  for (; header.length < 7; i++) {
    const c = line[i];
    assert.ok(c !== undefined, 'the header has seven fields');
    if (c === '\\') {
      const next = line[++i] ?? '';
      assert.match(next, /[\\|]/, 'in a header only backslash and pipe are escaped');
      field += next;
    } else if (c === '|') {
      header.push(field);
      field = '';
    } else field += c;
  }
  const rest = line.slice(i);
  const starts: { readonly key: string; readonly from: number; readonly value: number }[] = [];
  let escaped = false;
  for (let j = 0; j < rest.length; j++) {
    if (escaped) {
      escaped = false;
      continue;
    }
    if (rest[j] === '\\') escaped = true;
    if (rest[j] !== '=') continue;
    const from = rest.lastIndexOf(' ', j) + 1;
    starts.push({ key: rest.slice(from, j), from, value: j + 1 });
  }
  const extension: Record<string, string> = {};
  for (const [n, { key, value }] of starts.entries()) {
    const end = (starts[n + 1]?.from ?? rest.length + 1) - 1;
    extension[key] = rest
      .slice(value, end)
      .replace(/\\(.)/gs, (_, c: string) => (c === 'n' ? '\n' : c === 'r' ? '\r' : c));
  }
  return { header, extension };
}

const record = (change: Partial<AuditRecordText> = {}): AuditRecordText => ({
  sequence: 7,
  at: '2026-01-01T00:00:00.123Z',
  requestId: 'req_1',
  phase: 'outcome',
  callerKind: 'token',
  callerId: 'tok_1',
  subject: 'ada',
  project: 'demo',
  action: 'job.submit',
  resource: 'job/job_1',
  status: 201,
  detail: { from: '127.0.0.1' },
  digest: '00',
  ...change,
});

test('a record is one line with the fields a collector looks for', () => {
  const { header, extension } = parseCef(cefLine(record()));
  assert.deepEqual(header, ['CEF:0', 'Beamway', 'gateway', '1', 'job.submit', 'job.submit outcome', '3']);
  assert.deepEqual(
    [
      extension['rt'],
      extension['externalId'],
      extension['suser'],
      extension['src'],
      extension['act'],
      extension['cs1'],
    ],
    [String(Date.parse('2026-01-01T00:00:00.123Z')), '7', 'ada', '127.0.0.1', 'job.submit', 'req_1'],
  );
});

test('whatever a record holds, it stays one line and is read back as it was', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[\\|= \n\ra-z]*$/));
  fc.assert(
    fc.property(text, text, text, text, fc.dictionary(text, text), (subject, resource, action, project, detail) => {
      const line = cefLine(record({ subject, resource, action, project, detail }));
      assert.doesNotMatch(line, /[\r\n]/);
      const { header, extension } = parseCef(line);
      assert.equal(header[4], action.replace(/\r\n|[\r\n]/g, ' '));
      assert.equal(extension['suser'], subject);
      assert.equal(extension['act'], action);
      assert.equal(extension['request'] ?? '', resource);
      assert.equal(extension['cs2'], project);
      assert.equal(extension['msg'], JSON.stringify(detail));
    }),
    { numRuns: 1000 },
  );
});

test('severity tells denials and failures from daily work', () => {
  const of = (change: Partial<AuditRecordText>): number => severityOf(record(change));
  assert.equal(of({ phase: 'denied', status: 403 }), 8);
  assert.equal(of({ status: 500 }), 7);
  assert.equal(of({ status: 409 }), 4);
  assert.equal(of({}), 3);
  assert.equal(of({ phase: 'event', status: null }), 2);
  assert.equal(of({ phase: 'event', status: null, action: 'audit.pruned' }), 9);
  assert.equal(of({ phase: 'intent', status: null, action: 'lockdown.start' }), 9);
});
