import { digitsOf } from '../models/exact-number.ts';
import { jsonText, parseJson, plainNumber } from './formats/json-values.ts';
import { isObject } from './formats/source.ts';

/** Why a row can't be used, in a few words. */
export class RowRefusal extends Error {}

/**
 * A field's value as text, exactly: numbers with the digits they were written with, lists and objects as JSON; '' where there is
 * none.
 * @throws RowRefusal for what no text stands for
 */
export function fieldText(value: unknown, field: string): string {
  if (typeof value === 'string') return value;
  if (value === null || value === undefined) return '';
  if (holds(value, isNoNumber)) throw new RowRefusal(`${field} holds NaN or Infinity, no number`);
  if (holds(value, ArrayBuffer.isView))
    throw new RowRefusal(`${field} holds bytes (a picture, or text in an unknown encoding), no text`);
  if (isMessageList(value))
    throw new RowRefusal(`${field} is a list of messages, not a text; read it with the mapping messages=${field}`);
  return jsonText(value);
}

/** Whether what has this weight is learned; undefined where the weight is neither 0 (or false) nor 1 (or true). */
export function isLearned(weight: string): boolean | undefined {
  const number = weight === 'true' ? 1 : weight === 'false' ? 0 : Number(weight);
  return number === 1 ? true : number === 0 ? false : undefined;
}

/** A value that may stand as JSON in a text: CSV holds lists so. */
export function parsedIfText(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  try {
    return parseJson(value);
  } catch {
    return undefined;
  }
}

/** A list of numbers, or JSON text of one; undefined where it is none. */
export function integers(value: unknown): number[] | undefined {
  const list = parsedIfText(value);
  if (!Array.isArray(list) && !ArrayBuffer.isView(list)) return undefined;
  const numbers = Array.from(list as ArrayLike<unknown>, (one) => plainNumber(one));
  return numbers.every((one): one is number => Number.isInteger(one)) ? numbers : undefined;
}

const NAMES_OF_ROLE = ['role', 'from'];

/** Whether a value is a list of messages, whatever may be wrong inside them. */
export function isMessageList(value: unknown): value is Record<string, unknown>[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((message) => isObject(message) && NAMES_OF_ROLE.some((name) => typeof message[name] === 'string'))
  );
}

const isNoNumber = (value: unknown) => typeof value === 'number' && !Number.isFinite(value);

/** Whether a value, or one inside it, is such. */
function holds(value: unknown, isSuch: (one: unknown) => boolean): boolean {
  if (isSuch(value)) return true;
  if (Array.isArray(value)) return value.some((one) => holds(one, isSuch));
  return isObject(value) && Object.values(value).some((one) => holds(one, isSuch));
}

/** A value without what is null in it: tables write so what a row doesn't have. */
export function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.filter(isPresent).map(withoutNulls);
  if (!isObject(value) || digitsOf(value) !== undefined) return value;
  const present = Object.entries(value).filter(([, one]) => isPresent(one));
  return Object.fromEntries(present.map(([key, one]) => [key, withoutNulls(one)]));
}

export const isPresent = (value: unknown): boolean => value !== null && value !== undefined;
