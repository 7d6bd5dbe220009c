export interface Difference {
  key: string;
  /** one for each thing compared; – where it isn't set */
  values: string[];
}

/** The dotted keys on which some objects (recipes) differ. */
export function differencesOf(objects: unknown[]): Difference[] {
  const flat = objects.map((one) => flatten(one));
  const keys = [...new Set(flat.flatMap((one) => Object.keys(one)))].sort();
  return keys
    .filter((key) => new Set(flat.map((one) => one[key])).size > 1)
    .map((key) => ({ key, values: flat.map((one) => one[key] ?? '–') }));
}

/** Nested values as `{ 'a.b': text }`. */
export function flatten(value: unknown, prefix = ''): Record<string, string> {
  if (value === null || typeof value !== 'object') return { [prefix]: String(value) };
  return Object.assign(
    {},
    ...Object.entries(value).map(([key, inner]) => flatten(inner, prefix ? `${prefix}.${key}` : key)),
  ) as Record<string, string>;
}
