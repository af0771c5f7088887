/** Where a browser goes after it signed in: a path of ours and nothing else (OWASP: Unvalidated Redirects). Pure. */

const SOMEWHERE = 'https://beamway.invalid';
const LONGEST = 2000;

/** `wanted` where it is a path of this origin, else `fallback`. Read as browsers read it: they take `\` for `/` and drop tabs. */
export function returnPath(wanted: string | undefined, fallback: string): string {
  if (wanted === undefined || wanted.length > LONGEST || !wanted.startsWith('/')) return fallback;
  if (/[\u0000-\u0020\u007f\\]/.test(wanted) || wanted.startsWith('//')) return fallback;
  if (!URL.canParse(wanted, SOMEWHERE)) return fallback;
  const url = new URL(wanted, SOMEWHERE);
  if (url.origin !== SOMEWHERE) return fallback;
  const path = url.pathname + url.search + url.hash;
  // `/a/..//b` becomes `//b` once its dots are followed.
  return path.startsWith('//') ? fallback : path;
}
