import { parse } from 'lossless-json';

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

/** Digits that JavaScript's numbers might not give back as they stand (found inside strings, too: that costs time only). */
const PERHAPS_ROUNDED = /\d[\d.]{15}|\.\d*0(?!\d)|\d[eE]|0\.0{5}|-0/;

/**
 * JSON text as a value; numbers that JavaScript would write differently (12345678901234567890, 1.10, 1e3) are exact ones.
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  return PERHAPS_ROUNDED.test(text) ? parse(text, undefined, { parseNumber: exact }) : (JSON.parse(text) as unknown);
}

const exact = (text: string) => (String(Number(text)) === text ? Number(text) : exactNumber(text));
