// The demonstration as a visitor runs it, with fewer frames: plain, with a frame lost on purpose, and with the control plane killed on the way.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { whyNoSlurm } from '../servers/slurm/packages.ts';
import { temporaryFolder } from './start-beamway.ts';

const ROOT = join(import.meta.dirname, '../..');
const FRAMES = 200;

interface Summary {
  readonly ok: boolean;
  readonly run: string;
  readonly preempted: number;
  readonly resumed: number;
  readonly audit: { readonly intact: boolean };
  readonly chaos: { readonly sentMeanwhile: number } | null;
  readonly beamline: {
    readonly sent: number;
    readonly answered: number;
    readonly lost: readonly number[];
    readonly duplicated: number;
    readonly digestsEqual: boolean;
    readonly framesSteered: number;
    readonly recall: number;
    readonly precision: number;
  };
}

async function demonstrate(t: TestContext, settings: Readonly<Record<string, string>>) {
  const out = join(temporaryFolder(), 'out');
  t.after(() => rmSync(join(out, '..'), { recursive: true, force: true }));
  const child = spawn('sh', [join(ROOT, 'scripts/with-node.sh'), 'examples/lclstream/demo.ts'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      BEAMWAY_LOG_LEVEL: 'warn',
      FRAME_COUNT: String(FRAMES),
      OUT: out,
      ...settings,
    },
  });
  t.after(() => void (child.exitCode === null && child.kill('SIGTERM')));
  const parts: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => void parts.push(part));
  const [code] = (await once(child, 'close')) as [number | null];
  const text = Buffer.concat(parts).toString();
  const summary = existsSync(join(out, 'summary.json'))
    ? (JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8')) as Summary)
    : undefined;
  assert.ok(summary !== undefined, `no summary.json: ${text}`);
  return {
    code,
    text,
    summary,
    lastLine: text.trim().split('\n').at(-1) ?? '',
    report: readFileSync(join(out, 'report.html'), 'utf8'),
  };
}

function checkWhole({ beamline, run, preempted, resumed, audit }: Summary): void {
  assert.deepEqual(
    {
      sent: beamline.sent,
      answered: beamline.answered,
      lost: beamline.lost,
      duplicated: beamline.duplicated,
      digestsEqual: beamline.digestsEqual,
    },
    { sent: FRAMES, answered: FRAMES, lost: [], duplicated: 0, digestsEqual: true },
  );
  assert.ok(beamline.framesSteered > 0);
  assert.ok(
    beamline.recall >= 0.95 && beamline.precision >= 0.95,
    `recall ${beamline.recall}, precision ${beamline.precision}`,
  );
  assert.ok(preempted > 0);
  assert.equal(resumed, preempted);
  assert.equal(run, 'completed');
  assert.equal(audit.intact, true);
}

test('the demonstration loses nothing, preempts, steers, and says so in its summary', {
  timeout: 120_000,
}, async (t) => {
  const { code, text, summary, lastLine, report } = await demonstrate(t, {});
  assert.equal(code, 0, text);
  checkWhole(summary);
  assert.ok(summary.ok);
  assert.match(lastLine, new RegExp(`^demo: ${FRAMES} frames sent, ${FRAMES} analysed, 0 lost, `));
  assert.ok(!/(src|href)=["']?https?:/i.test(report), 'the report needs nothing from elsewhere');
});

test('a frame that is dropped on purpose is found out: 1 lost, exit 1', { timeout: 120_000 }, async (t) => {
  const { code, summary, lastLine } = await demonstrate(t, { FAULT: 'drop-one' });
  assert.equal(code, 1);
  assert.equal(summary.ok, false);
  assert.equal(summary.beamline.lost.length, 1);
  assert.match(lastLine, /, 1 lost, /);
});

test('with the control plane killed on the way, frames go on and nothing is lost', { timeout: 120_000 }, async (t) => {
  const { code, text, summary } = await demonstrate(t, { CHAOS: 'control-plane' });
  assert.equal(code, 0, text);
  checkWhole(summary);
  assert.ok((summary.chaos?.sentMeanwhile ?? 0) >= FRAMES / 5, `${summary.chaos?.sentMeanwhile} were sent meanwhile`);
  t.diagnostic(`${summary.chaos?.sentMeanwhile} of ${FRAMES} frames were sent while the control plane was down`);
});

test('on a real Slurm: the urgent job preempts real batch jobs, with the control plane killed on the way', {
  timeout: 180_000,
  skip: whyNoSlurm() ?? false,
}, async (t) => {
  const { code, text, summary } = await demonstrate(t, { SCHEDULER: 'slurm', CHAOS: 'control-plane' });
  assert.equal(code, 0, text);
  checkWhole(summary);
  assert.match(text, /a real Slurm with 4 nodes/);
});

test('a setting it does not know is refused with exit 2', async () => {
  for (const settings of [
    { CHAOS: 'fire' },
    { FAULT: 'fire' },
    { SCHEDULER: 'fire' },
    { FRAME_COUNT: '1' },
    { FRAME_COUNT: 'many' },
  ]) {
    const child = spawn('sh', [join(ROOT, 'scripts/with-node.sh'), 'examples/lclstream/demo.ts'], {
      stdio: 'ignore',
      env: { PATH: process.env['PATH'], ...settings },
    });
    const [code] = (await once(child, 'exit')) as [number | null];
    assert.equal(code, 2, JSON.stringify(settings));
  }
});
