import type { FileMetaData, SchemaTree } from 'hyparquet';
import { exactNumber } from '../../models/exact-number.ts';
import { exactInteger } from './json-values.ts';

type Convert = (value: unknown) => unknown;

const NANOS_A_SECOND = 1_000_000_000n;
const SECONDS_A_DAY = 86_400n;

/** Times as ISO texts with all their digits: a Date holds milliseconds. */
export const exactParsers = {
  timestampFromMilliseconds: (millis: bigint) => timestamp(millis * 1_000_000n, 3),
  timestampFromMicroseconds: (micros: bigint) => timestamp(micros * 1_000n, 6),
  timestampFromNanoseconds: (nanos: bigint) => timestamp(nanos, 9),
  dateFromDays: (days: number | undefined) =>
    days === undefined || days === null ? days : new Date(days * 86_400_000).toISOString().slice(0, 10),
  /** bytes that are no UTF-8 stay bytes */
  stringFromBytes: (bytes: Uint8Array | undefined) => bytes && (strictText(bytes) ?? bytes),
  jsonFromBytes: (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes),
};

function strictText(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Takes the DECIMAL off the schema, so that the integers under it come as they lie: hyparquet would round them. */
export function rawDecimals(metadata: FileMetaData): void {
  for (const element of metadata.schema)
    if (element.converted_type === 'DECIMAL' || element.logical_type?.type === 'DECIMAL') {
      if (element.type === 'BYTE_ARRAY') throw new Error(`the decimals of "${element.name}" are of no fixed length`);
      element.converted_type = undefined;
      element.logical_type = undefined;
    }
}

/**
 * How rows of a schema are made exact: 64-bit integers, decimals, times of day and floating-point numbers without a fraction
 * (3.0 is not 3) keep their digits; typed arrays become lists.
 */
export function exactValues(root: SchemaTree): Convert {
  return groupOf(root);
}

function groupOf(tree: SchemaTree): Convert {
  const fields = new Map(tree.children.map((child) => [child.element.name, valueOf(child)]));
  return (value) => {
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value as object).map(([key, field]) => [key, fields.get(key)?.(field) ?? field]),
    );
  };
}

function valueOf(tree: SchemaTree): Convert {
  const { element, children } = tree;
  const repeated = (convert: Convert): Convert => (element.repetition_type === 'REPEATED' ? listOf(convert) : convert);
  if (children.length === 0) return repeated(leafOf(tree));
  if (element.converted_type === 'LIST' || element.logical_type?.type === 'LIST') {
    const [list] = children;
    // Three levels: the list, its repeated group, the element in it; two where the repeated one is the element.
    const item = list!.children.length === 1 ? valueOf(list!.children[0]!) : elementOf(list!);
    return listOf(item);
  }
  if (element.converted_type === 'MAP' || element.logical_type?.type === 'MAP') {
    const item = valueOf(children[0]!.children[1]!);
    return (value) =>
      typeof value === 'object' && value !== null
        ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, item(one)]))
        : value;
  }
  return repeated(groupOf(tree));
}

const elementOf = (tree: SchemaTree): Convert => (tree.children.length > 0 ? groupOf(tree) : leafOf(tree));

const listOf =
  (item: Convert): Convert =>
  (value) =>
    Array.isArray(value) || ArrayBuffer.isView(value)
      ? Array.from(value as ArrayLike<unknown>, (one) => (one === undefined ? null : item(one)))
      : value;

function leafOf({ element }: SchemaTree): Convert {
  const { type, scale, converted_type: converted, logical_type: logical } = element;
  if (converted === 'DECIMAL' || logical?.type === 'DECIMAL') return present((value) => decimal(value, scale ?? 0));
  if (converted === 'TIME_MILLIS') return present((value) => timeOfDay(BigInt(value as number) * 1_000_000n, 3));
  if (converted === 'TIME_MICROS') return present((value) => timeOfDay((value as bigint) * 1_000n, 6));
  if (logical?.type === 'TIME') return present((value) => timeOfDay(value as bigint, 9));
  if (logical?.type === 'TIMESTAMP' && logical.isAdjustedToUTC)
    return present((value) => (typeof value === 'string' ? `${value}Z` : value));
  if (type === 'FLOAT' || type === 'DOUBLE' || logical?.type === 'FLOAT16') return present(floating);
  return present((value) => (typeof value === 'bigint' ? exactInteger(value) : value));
}

const present =
  (convert: Convert): Convert =>
  (value) =>
    value === undefined || value === null ? null : convert(value);

const floating = (value: unknown) =>
  typeof value === 'number' && Number.isInteger(value) && Math.abs(value) < 1e21 ? exactNumber(`${value}.0`) : value;

/** The integer as it lies in the file, with its point. */
function decimal(value: unknown, scale: number) {
  const whole = value instanceof Uint8Array ? bigEndian(value) : BigInt(value as number | bigint);
  const digits = String(whole < 0n ? -whole : whole).padStart(scale + 1, '0');
  const point = digits.length - scale;
  const text = scale > 0 ? `${digits.slice(0, point)}.${digits.slice(point)}` : digits;
  return exactNumber(`${whole < 0n ? '-' : ''}${text}`);
}

function bigEndian(bytes: Uint8Array): bigint {
  const value = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  return BigInt.asIntN(8 * bytes.length, value);
}

/** Nanoseconds since 1970 as 2024-01-02T03:04:05, with a fraction of `digits` where there is one. */
function timestamp(nanos: bigint | undefined, digits: number): string | undefined {
  if (nanos === undefined || nanos === null) return undefined;
  const seconds = floorDivide(nanos, NANOS_A_SECOND);
  const day = floorDivide(seconds, SECONDS_A_DAY);
  const date = new Date(Number(day) * 86_400_000).toISOString().slice(0, -14);
  return `${date}T${timeOfDay(nanos - day * SECONDS_A_DAY * NANOS_A_SECOND, digits)}`;
}

function timeOfDay(nanos: bigint, digits: number): string {
  const seconds = Number(nanos / NANOS_A_SECOND);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const fraction = String(nanos % NANOS_A_SECOND)
    .padStart(9, '0')
    .slice(0, digits);
  const clock = parts.map((part) => String(part).padStart(2, '0')).join(':');
  return /[1-9]/.test(fraction) ? `${clock}.${fraction}` : clock;
}

function floorDivide(a: bigint, b: bigint): bigint {
  return a / b - (a % b < 0n ? 1n : 0n);
}
