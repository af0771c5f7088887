// Safe text for HTML and SVG, and numbers as people read them. Owns no state.

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text that may stand between tags and in quoted attributes. */
export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '');
}

/** A coordinate with at most two decimals, short. */
export function coordinate(value: number): string {
  return String(Math.round(value * 100) / 100);
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** 0.25 s -> "0.25", 12 s -> "12": seconds without needless zeros. */
export function plainNumber(value: number): string {
  return String(Number(value.toPrecision(4)));
}
