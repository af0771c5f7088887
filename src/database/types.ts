/**
 * How values leave PostgreSQL: int8 as number (an error if beyond 2^53 - 1, never a rounded value), timestamptz as Date
 * (written as ISO 8601 at the edge of the API), date and timestamp without zone as the text they are, numeric as text.
 * Owns no state; set per pool, so that pg's global parsers stay as they are.
 */
import pg from 'pg';

const { builtins, getTypeParser } = pg.types;
const INT8_ARRAY = 1016;
const asText = (text: string): string => text;

/** Throws RangeError when the number cannot be held exactly; pg turns that into the failure of the query. */
export function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`int8 ${text} is beyond 2^53 - 1: select it as text`);
  return value;
}

function parseInt8Array(text: string): readonly (number | null)[] {
  return text === '{}'
    ? []
    : text
        .slice(1, -1)
        .split(',')
        .map((item) => (item === 'NULL' ? null : parseInt8(item)));
}

export const typeParsers: pg.CustomTypesConfig = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (format !== 'binary') {
      if (oid === builtins.INT8) return parseInt8;
      if (oid === INT8_ARRAY) return parseInt8Array;
      if (oid === builtins.DATE || oid === builtins.TIMESTAMP) return asText;
    }
    return getTypeParser(oid, format ?? 'text');
  },
};
