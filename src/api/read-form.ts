/** A form as an OAuth 2.0 endpoint takes it (RFC 6749 section 3.2 and appendix B): each key once, empty ones as if they were not there. Pure. */
import { Problem } from '../problems.ts';

export const FORM_TYPE = 'application/x-www-form-urlencoded';
export const FORM_BYTES = 65_536;
const MOST_KEYS = 32;

/** Throws `malformed-body`. Nothing of the text is quoted: it holds tokens. */
export function readForm(text: string): Readonly<Record<string, string>> {
  const seen = new Map<string, string>();
  for (const [key, value] of new URLSearchParams(text)) {
    if (seen.has(key)) throw new Problem('malformed-body', 'A key of the form is there twice.');
    if (seen.size >= MOST_KEYS) throw new Problem('malformed-body', `The form has more than ${MOST_KEYS} keys.`);
    seen.set(key, value);
  }
  return Object.fromEntries([...seen].filter(([, value]) => value !== ''));
}
