/**
 * Text of PostgreSQL's arrays and times, written by hand because a batch has thousands of records: pg's own conversion takes longer than the
 * insert. Pure.
 */

const SPECIAL = /["\\]/;

/** `{"a","b\"c",NULL}`; every value is quoted, so that none can be taken for NULL or end the array. */
export function arrayLiteral(values: readonly (string | null)[]): string {
  let text = '{';
  for (const [i, value] of values.entries()) {
    if (i > 0) text += ',';
    if (value === null) text += 'NULL';
    else text += SPECIAL.test(value) ? `"${value.replace(/["\\]/g, '\\$&')}"` : `"${value}"`;
  }
  return `${text}}`;
}

/** A time as PostgreSQL reads it: ISO 8601 has signed six-digit years outside 1 to 9999, PostgreSQL plain ones and BC. `iso` is at's own. */
export function timestampText(at: Date, iso: string): string {
  const year = at.getUTCFullYear();
  if (year >= 1 && year <= 9999) return iso;
  const rest = iso.slice(iso.indexOf('-', 1));
  return year > 0 ? `${year}${rest}` : `${String(1 - year).padStart(4, '0')}${rest} BC`;
}
