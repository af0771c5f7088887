/**
 * Fields default to secret: a request's body enters the audit log only through the field names that its operation lists as
 * public. What is not listed is kept as its type alone, so that a new field can never leak by being forgotten.
 */
export function redact(body: unknown, publicFields: readonly string[]): Record<string, unknown> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return {};
  const kept = new Set(publicFields);
  return Object.fromEntries(
    Object.entries(body).map(([key, value]) => [key, kept.has(key) ? value : `[${kindOf(value)}]`]),
  );
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return `array of ${value.length}`;
  return typeof value;
}
