import { LosslessNumber, parse, stringify } from 'lossless-json';

/** Digits that JavaScript's numbers might not give back as they stand (found inside strings, too: that costs time only). */
const PERHAPS_ROUNDED = /\d[\d.]{15}|\.\d*0(?!\d)|\d[eE]|0\.0{5}|-0/;

/**
 * JSON text as a value; a number that JavaScript would write differently (12345678901234567890, 1.10, 1e3) stays its text, as a
 * LosslessNumber.
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  return PERHAPS_ROUNDED.test(text) ? parse(text, undefined, { parseNumber: exact }) : (JSON.parse(text) as unknown);
}

const exact = (text: string) => (String(Number(text)) === text ? Number(text) : new LosslessNumber(text));

/** An integer of any size, exactly. */
export const exactInteger = (value: bigint): number | LosslessNumber =>
  value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : exactNumber(String(value));

/** A number by its text. */
export const exactNumber = (text: string): LosslessNumber => new LosslessNumber(text);

/** A value that is no text, as text: numbers with their digits, lists and objects as JSON. */
export const jsonText = (value: unknown): string => stringify(value) ?? '';

/** A number that `parseJson` kept as its text, as JavaScript's nearest; other values as they are. */
export const plainNumber = (value: unknown): unknown => (value instanceof LosslessNumber ? Number(value.value) : value);
