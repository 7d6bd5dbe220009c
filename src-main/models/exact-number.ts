/**
 * A number as it was written, where JavaScript's would be another (12345678901234567890) or be written differently (1.10, 3.0,
 * 1e3). Plain, so that it passes between threads and through JSON; no dataset has a key of this name.
 */
export interface ExactNumber {
  [EXACT]: string;
}

const EXACT = '\0number';

export const exactNumber = (text: string): ExactNumber => ({ [EXACT]: text });

/** The digits of an exact number; undefined for any other value. */
export function digitsOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const digits = (value as Partial<ExactNumber>)[EXACT];
  return typeof digits === 'string' ? digits : undefined;
}
