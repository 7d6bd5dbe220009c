import { parse, stringify } from 'lossless-json';
import { digitsOf, exactNumber, type ExactNumber } from '../../models/exact-number.ts';

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

/** An integer of any size, exactly. */
export const exactInteger = (value: bigint): number | ExactNumber =>
  value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : exactNumber(String(value));

const NUMBERS = [
  {
    test: (value: unknown) => digitsOf(value) !== undefined,
    stringify: (value: unknown) => digitsOf(value)!,
  },
];

/** A value that is no text, as text: numbers with their digits, lists and objects as JSON. */
export const jsonText = (value: unknown): string => stringify(value, undefined, undefined, NUMBERS) ?? '';

/** An exact number as JavaScript's nearest; other values as they are. */
export function plainNumber(value: unknown): unknown {
  const digits = digitsOf(value);
  return digits === undefined ? value : Number(digits);
}
