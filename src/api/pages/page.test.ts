// What keeps pages safe whatever stands in them: escaping, cookies, CSRF tokens, the origin.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { csrfToken, newBrowserSecret, readCookies, setCookie } from './cookies.ts';
import { document, html } from './page.ts';
import { pagesOrigin } from './serve-pages.ts';

test('text in a page is text, never markup, in content and in attributes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const { html: page } = html`<p title="${text}">${text}</p>`;
      const inner = page.slice('<p title="'.length, -'</p>'.length);
      assert.equal(inner.match(/[<>"]/g)?.join(''), '">', page);
      assert.doesNotMatch(inner, /'|&(?!(?:amp|lt|gt|quot|#39);)/);
    }),
  );
  assert.equal(html`${[html`<b>${'<'}</b>`, html`${7}`]}`.html, '<b>&lt;</b>7');
});

test('a document has a language, a title and one heading, and no script unless told', () => {
  const page = document('A & B', html`<p>x</p>`).html;
  assert.match(page, /^<!doctype html>\n<html lang="en">/);
  assert.match(page, /<title>A &amp; B · Beamway<\/title>/);
  assert.equal(page.match(/<h1>/g)?.length, 1);
  assert.doesNotMatch(page, /<script/);
  assert.match(
    document('x', html``, { script: '/beamway/x.js' }).html,
    /<script type="module" src="\/beamway\/x.js"><\/script>/,
  );
});

test('cookies that a browser sends are read; planted or malformed ones are not', () => {
  const origin = 'https://beamway.example.org';
  const secret = newBrowserSecret();
  const good = `a=b; __Host-bw_browser=${secret}; __Host-bw_session=bws_x`;
  assert.deepEqual(readCookies(good, origin), { session: 'bws_x', browser: secret });
  assert.deepEqual(readCookies(`${good}; __Host-bw_session=other`, origin), { session: undefined, browser: secret });
  assert.deepEqual(readCookies('__Host-bw_browser=short; bw_session=x', origin), {
    session: undefined,
    browser: undefined,
  });
  assert.deepEqual(readCookies(undefined, origin), { session: undefined, browser: undefined });
  assert.deepEqual(readCookies(`bw_browser_80=${secret}; bw_session_81=x`, 'http://localhost'), {
    session: undefined,
    browser: secret,
  });
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (header) => void readCookies(header, origin)));
});

test('a cookie is HttpOnly always, and Secure and __Host- behind TLS', () => {
  const cookie = { name: 'bw_session', value: 'v', maxAgeSeconds: 60 };
  assert.equal(
    setCookie(cookie, 'https://beamway.example.org'),
    '__Host-bw_session=v; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60',
  );
  assert.equal(
    setCookie(cookie, 'http://localhost:8080'),
    'bw_session_8080=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=60',
  );
});

test('a CSRF token is of one browser and does not give its secret away', () => {
  const secret = newBrowserSecret();
  assert.equal(csrfToken(secret), csrfToken(secret));
  assert.notEqual(csrfToken(secret), csrfToken(newBrowserSecret()));
  assert.ok(!csrfToken(secret).includes(secret.slice(0, 8)));
});

test('on loopback browsers know us by name', () => {
  assert.equal(pagesOrigin('http://127.0.0.1:8080'), 'http://localhost:8080');
  assert.equal(pagesOrigin('http://[::1]:8080'), 'http://localhost:8080');
  assert.equal(pagesOrigin('http://127.0.0.2:8080'), 'http://127.0.0.2:8080');
});
