/** Second factors as people meet them: the pages in a real Chromium with a virtual authenticator, on a whole control plane. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { recordsPage } from '../../src/audit/index.ts';
import { systemClock } from '../../src/clock.ts';
import { tokenById } from '../../src/identity/index.ts';
import { newSubject, totpCode, wrongCode } from '../../src/identity/second-factor/factor.fixture.ts';
import { type ApiServer, fileScope, startApiServer } from './api-server.ts';
import { NO_BROWSER, openBrowser, type SignedInPage, signedInPage } from './factor-browser.ts';

const scope = fileScope();
const RETURN = '/beamway/sessions?from=step-up';

describe('second factors in a browser', { skip: NO_BROWSER }, () => {
  let api: ApiServer;
  let browser: Browser;
  before(async () => {
    api = await startApiServer(scope);
    browser = await openBrowser(scope);
  });

  const at = (path: string): string => `${api.server.origin}${path}`;
  const stepUpUrl = (): string => at(`/beamway/factor?return=${encodeURIComponent(RETURN)}`);
  const sessionOf = async (id: string) => tokenById(api.database.kysely, id);
  const eventsOf = async (session: string): Promise<string[]> =>
    (await recordsPage(api.database.kysely, { limit: 10_000 }))
      .filter((r) => r.callerId === session && r.phase === 'event' && r.action.startsWith('factor.'))
      .toReversed()
      .map((r) => [r.action, r.detail['method'], r.detail['reason']].filter(Boolean).join(' '));

  async function withPasskey(name = 'Ring'): Promise<SignedInPage> {
    const person = await signedInPage(api, browser, { subject: newSubject() });
    const { page } = person;
    await page.goto(at('/beamway/factors'));
    await page.getByLabel('Its name, for you').fill(name);
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await page.waitForURL('**/beamway/factors/recovery?first=yes');
    return person;
  }

  test('a passkey is enrolled, recovery codes follow, and in the next sign-in it steps the session up and leads back', async () => {
    const person = await withPasskey('<b>Ring</b> & "co"');
    const { page } = person;
    assert.ok((await sessionOf(person.session))?.factorAt, 'whoever enrols one has shown it');
    await page.getByRole('button', { name: 'Show ten codes' }).click();
    assert.equal(await page.locator('.codes code').count(), 10);
    await page.getByRole('link', { name: 'I have kept them' }).click();
    await page.getByText('<b>Ring</b> & "co"').waitFor();
    const next = await person.signInAgain();
    await page.goto(stepUpUrl());
    const before = systemClock.now();
    await page.getByRole('button', { name: 'Use a passkey' }).click();
    await page.waitForURL(at(RETURN));
    const session = await sessionOf(next);
    assert.deepEqual(session?.methods, ['oidc', 'webauthn']);
    assert.ok((session?.factorAt?.getTime() ?? 0) >= before - 1);
    assert.deepEqual(await eventsOf(person.session), ['factor.enrolled webauthn', 'factor.enrolled recovery-code']);
    assert.deepEqual(await eventsOf(next), ['factor.used webauthn']);
  });

  test('a passkey whose counter went back is refused and recorded as a suspicion; the session stays as it was', async () => {
    const person = await withPasskey();
    const { page, devtools, authenticator: authenticatorId } = person;
    await page.goto(stepUpUrl());
    await page.getByRole('button', { name: 'Use a passkey' }).click();
    await page.waitForURL(at(RETURN));
    const { credentials } = await devtools.send('WebAuthn.getCredentials', { authenticatorId });
    const [credential] = credentials;
    assert.ok(credential !== undefined && credential.signCount >= 1);
    await devtools.send('WebAuthn.removeCredential', { authenticatorId, credentialId: credential.credentialId });
    // The copy has seen one use fewer: its next count is the one that the original gave last.
    const copy = { ...credential, signCount: credential.signCount - 1 };
    await devtools.send('WebAuthn.addCredential', { authenticatorId, credential: copy });
    const next = await person.signInAgain();
    await page.goto(stepUpUrl());
    await page.getByRole('button', { name: 'Use a passkey' }).click();
    await page.getByText('may have been copied').waitFor();
    assert.equal((await sessionOf(next))?.factorAt, null);
    assert.deepEqual(await eventsOf(next), ['factor.failed webauthn counter-went-back']);
    const [record] = (await recordsPage(api.database.kysely, { limit: 10_000 })).filter(
      (r) => r.callerId === next && r.phase === 'event',
    );
    assert.match(JSON.stringify(record), /suspicion/);
  });

  test('an answer is believed once, in the session that asked, for our origin, with the person verified', async () => {
    const person = await withPasskey();
    const { page } = person;
    await person.signInAgain();
    await page.goto(stepUpUrl());
    const good = await assertion(page, await challenge(page), {});
    assert.equal(await finish(page, good), '200');
    assert.equal(await finish(page, good), '403 factor-wrong', 'a second time');
    const [one, other] = [await challenge(page), await challenge(page)];
    const mixed = await assertion(page, one, { challenge: other.challenge });
    assert.equal(await finish(page, mixed), '200', 'two tabs: each answers its own challenge');
    const unverified = await assertion(page, await challenge(page), { userVerification: 'discouraged' }, person);
    assert.equal(await finish(page, unverified), '403 factor-wrong');
    const made = { ...(await challenge(page)), challenge: 'bWFkZSB1cCBieSB0aGUgY2xpZW50' };
    assert.equal(await finish(page, await assertion(page, made, {})), '403 factor-wrong');
    const stale = await assertion(page, await challenge(page), {});
    const next = await person.signInAgain();
    await page.goto(stepUpUrl());
    assert.equal(await finish(page, stale), '403 factor-wrong', 'begun in another session');
    assert.equal((await sessionOf(next))?.factorAt, null);
    assert.deepEqual(await eventsOf(next), ['factor.failed webauthn challenge']);
  });

  test('an answer that another site of the same host asked for is refused', async () => {
    const person = await withPasskey();
    const { page } = person;
    const next = await person.signInAgain();
    await page.goto(stepUpUrl());
    const asked = await challenge(page);
    const elsewhere = createServer((_request, response) => response.setHeader('content-type', 'text/html').end('<p>x'));
    await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
    scope.after(async () => void elsewhere.close());
    await page.goto(`http://localhost:${(elsewhere.address() as AddressInfo).port}/`);
    const lured = await assertion(page, asked, {});
    await page.goto(stepUpUrl());
    assert.equal(await finish(page, lured), '403 factor-wrong');
    assert.equal((await sessionOf(next))?.factorAt, null);
    assert.deepEqual(await eventsOf(next), ['factor.failed webauthn wrong-origin']);
  });

  test('an app is enrolled from the picture’s key, a wrong code is told so, and its next code leads back', async () => {
    const person = await signedInPage(api, browser, { subject: newSubject() });
    const { page } = person;
    await page.goto(stepUpUrl());
    await page.getByRole('link', { name: 'Set one up' }).click();
    await page.getByRole('button', { name: 'Add an app' }).click();
    await page.locator('.qr svg').waitFor();
    const secret = ((await page.locator('.steps code').textContent()) ?? '').replaceAll(' ', '');
    const send = async (code: string): Promise<void> => {
      await page.getByLabel('Code', { exact: true }).fill(code);
      await page.getByRole('button', { name: 'Finish' }).click();
    };
    await send(wrongCode(secret, systemClock.now()));
    await page.getByText('not of this secret').waitFor();
    assert.equal(
      ((await page.locator('.steps code').textContent()) ?? '').replaceAll(' ', ''),
      secret,
      'the same picture',
    );
    const enrolledWith = totpCode(secret, systemClock.now());
    await send(enrolledWith);
    await page.waitForURL('**/beamway/factors/recovery?first=yes&return=*');
    await page.getByRole('button', { name: 'Show ten codes' }).click();
    const recovery = (await page.locator('.codes code').first().textContent()) ?? '';
    await page.getByRole('link', { name: 'I have kept them' }).click();
    await page.waitForURL(at(RETURN));
    const next = await person.signInAgain();
    await page.goto(stepUpUrl());
    const type = async (code: string): Promise<void> => {
      await page.getByLabel('Code from your authenticator app').fill(code);
      await page.getByRole('button', { name: 'Continue' }).click();
    };
    await type(enrolledWith);
    await page.getByText('That code was used already').waitFor();
    // One step of skew is accepted, so the next code is good now.
    await type(totpCode(secret, systemClock.now(), 1));
    await page.waitForURL(at(RETURN));
    assert.deepEqual((await sessionOf(next))?.methods, ['oidc', 'totp']);
    const last = await person.signInAgain();
    await page.goto(stepUpUrl());
    await type(recovery);
    await page.waitForURL(at(RETURN));
    assert.deepEqual((await sessionOf(last))?.methods, ['oidc', 'recovery-code']);
    const everything = JSON.stringify(await recordsPage(api.database.kysely, { limit: 10_000 }));
    for (const hidden of [secret, enrolledWith, recovery]) assert.ok(!everything.includes(hidden));
  });

  test('with a factor nothing is changed before one is shown; a factor removed is gone', async () => {
    const person = await withPasskey();
    const { page } = person;
    await person.signInAgain();
    await page.goto(at('/beamway/factors'));
    assert.equal(await page.getByRole('button', { name: 'Remove' }).count(), 0);
    assert.equal(await page.getByRole('button', { name: 'Add a passkey' }).count(), 0);
    await page.getByRole('link', { name: 'Show my second factor' }).click();
    await page.getByRole('button', { name: 'Use a passkey' }).click();
    await page.waitForURL(at('/beamway/factors'));
    await page.getByRole('button', { name: 'Remove' }).click();
    await page.getByText('You need one for the moderate enclave').waitFor();
    assert.equal(await page.locator('.cards .danger').count(), 0);
  });

  test('who comes without a place to go back to shows a factor, and is led to the list while that holds', async () => {
    const person = await withPasskey();
    const { page } = person;
    await person.signInAgain();
    await page.goto(at('/beamway/factor'));
    await page.getByRole('button', { name: 'Use a passkey' }).click();
    await page.waitForURL(at('/beamway/factors'));
    await page.goto(at('/beamway/factor'));
    assert.equal(page.url(), at('/beamway/factors'));
  });

  test('nobody is led away from here, whatever the link says', async () => {
    const person = await withPasskey();
    const { page } = person;
    for (const wanted of ['https://example.org/', '//example.org', '/\\example.org', 'javascript:alert(1)']) {
      await page.goto(at(`/beamway/factor?return=${encodeURIComponent(wanted)}`));
      await page.getByRole('button', { name: 'Use a passkey' }).click();
      await page.waitForURL(at('/beamway/factors'));
    }
  });
});

interface Asked {
  readonly challenge: string;
  readonly allowCredentials: readonly { readonly id: string; readonly type: string }[];
  readonly rpId: string;
}

/** Begins a ceremony with our server, from our page. */
function challenge(page: Page): Promise<Asked> {
  return page.evaluate(`(async () => {
    const csrf = document.querySelector('input[name=csrf]').value;
    const answer = await fetch('/beamway/factor/passkey/begin', {
      method: 'POST', headers: { 'content-type': 'application/json', 'x-csrf-token': csrf }, body: '{}' });
    return answer.json();
  })()`) as Promise<Asked>;
}

/** What the authenticator says to it, wherever the page is. `person`: their verification fails. */
async function assertion(page: Page, asked: Asked, change: object, person?: SignedInPage): Promise<unknown> {
  const verified = (isUserVerified: boolean) =>
    person?.devtools.send('WebAuthn.setUserVerified', { authenticatorId: person.authenticator, isUserVerified });
  await verified(false);
  const options = JSON.stringify({ ...asked, userVerification: 'required', ...change });
  const given: unknown = await page.evaluate(`(async () => {
    const options = ${options};
    const bytes = (t) => Uint8Array.from(atob(t.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
    const text = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\\+/g, '-').replace(/\\//g, '_').replace(/=+$/, '');
    const c = await navigator.credentials.get({ publicKey: { ...options, challenge: bytes(options.challenge),
      allowCredentials: options.allowCredentials.map((e) => ({ ...e, id: bytes(e.id) })) } });
    const r = c.response;
    return { id: c.id, rawId: text(c.rawId), type: c.type, response: { clientDataJSON: text(r.clientDataJSON),
      authenticatorData: text(r.authenticatorData), signature: text(r.signature) } };
  })()`);
  await verified(true);
  return given;
}

/** Status and problem code of our server's answer, from our page. */
function finish(page: Page, response: unknown): Promise<string> {
  return page.evaluate(`(async () => {
    const csrf = document.querySelector('input[name=csrf]').value;
    const answer = await fetch('/beamway/factor/passkey/finish', {
      method: 'POST', headers: { 'content-type': 'application/json', 'x-csrf-token': csrf },
      body: JSON.stringify({ response: ${JSON.stringify(response)} }) });
    const told = await answer.json();
    return [answer.status, told.code].filter(Boolean).join(' ');
  })()`) as Promise<string>;
}
