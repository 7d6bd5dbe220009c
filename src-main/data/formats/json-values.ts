import { stringify } from 'lossless-json';
import { digitsOf, exactNumber, type ExactNumber } from '../../models/exact-number.ts';

export { parseJson } from '../../models/exact-number.ts';

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
