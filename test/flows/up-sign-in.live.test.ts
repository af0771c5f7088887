// `beamway up --dev` as somebody tries it out: accounts with passwords of this start, told once; without --dev there are none.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { removeEmbedded, silentLog } from '../../src/database/index.ts';
import { openBrowser } from './sign-in-server.ts';
import { spawnUp, temporaryFolder, type UpOptions } from './start-beamway.ts';

interface DevReady {
  readonly url: string;
  readonly signIn?: string;
  readonly devAccounts?: readonly { readonly subject: string; readonly password: string }[];
}

const folder = temporaryFolder();
const state = join(folder, 'state');
after(async () => {
  await removeEmbedded({ stateDir: state, clock: systemClock, log: silentLog });
  rmSync(folder, { recursive: true, force: true });
});

/** Starts it, does `work`, ends it; gives all that it wrote to standard output after its ready line, and to standard error. */
async function whileUp(options: UpOptions, work: (ready: DevReady) => Promise<void>): Promise<string> {
  const up = await spawnUp(state, options);
  if ('code' in up) throw new Error(`beamway up ended with ${up.code}: ${up.said()}`);
  let more = '';
  up.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    more += text;
  });
  try {
    await work(up.ready);
  } finally {
    const ended = once(up.child, 'exit');
    up.child.kill('SIGTERM');
    await ended;
  }
  return more + up.said();
}

test('with --dev one signs in with an account of this start, whose password no log holds', {
  timeout: 120_000,
}, async () => {
  const passwords: string[] = [];
  const signIn = async (ready: DevReady): Promise<void> => {
    const [ada] = ready.devAccounts ?? [];
    assert.deepEqual([ada?.subject, new URL(ready.signIn ?? '').port], ['ada', new URL(ready.url).port]);
    passwords.push(...(ready.devAccounts ?? []).map((a) => a.password));
    const browser = openBrowser();
    const form = await browser.follow(`${ready.signIn}/dev`);
    const wrong = await browser.submit(form, { subject: 'ada', password: passwords.at(-1) ?? '' });
    assert.deepEqual([wrong.status, /do not fit together/.test(wrong.text)], [401, true]);
    const home = await browser.submit(wrong, { subject: 'ada', password: ada?.password ?? '' });
    assert.match(home.text, /signed in as <strong>ada<\/strong>/);
  };
  const said = [
    await whileUp({ env: { BEAMWAY_LOG_LEVEL: 'info' } }, signIn),
    await whileUp({ env: { BEAMWAY_LOG_LEVEL: 'info' } }, signIn),
  ].join('');
  assert.equal(new Set(passwords).size, passwords.length, 'new at each start');
  for (const password of passwords) assert.ok(!said.includes(password));
  assert.doesNotMatch(said, /oidc-provider|bws_[0-9a-z]{50}/);
});

test('without --dev there is neither account nor provider', { timeout: 60_000 }, async () => {
  await whileUp({ dev: false }, async (ready) => {
    assert.deepEqual([ready.signIn, ready.devAccounts], [undefined, undefined]);
    const browser = openBrowser();
    assert.match((await browser.follow(`${ready.url}/beamway/sign-in`)).text, /Nobody can sign in here yet/);
    assert.equal((await browser.follow(`${ready.url}/beamway/sign-in/dev`)).status, 404);
  });
});
