import { digitsOf } from '../exact-number.ts';
import type { Budget } from './budget.ts';
import { JinjaError } from './budget.ts';

/**
 * Python's values as templates see them. None is null; str, bool and list are JavaScript's own; an int is a whole number, or a
 * bigint beyond 2^53; every float is a Float, so that 1.0 stays apart from 1. Nothing but a Namespace ever changes.
 */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Float
  | Value[]
  | Tuple
  | Dict
  | View
  | Iterator
  | Namespace
  | Undefined
  | Callable
  | Attributes;

export class Float {
  constructor(readonly value: number) {}
}

/** A tuple, or a range: a sequence that is no list. */
export class Tuple {
  constructor(
    readonly items: Value[],
    readonly kind: 'tuple' | 'range' = 'tuple',
  ) {}
}

export type Key = string | number | bigint | boolean | null;

export class Dict {
  readonly map = new Map<Key, Value>();

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) this.map.set(keyOf(key), value);
  }
}

/** A value as a key of a dict. @throws JinjaError for one that can't be */
export function keyOf(value: Value): Key {
  if (value instanceof Float && Number.isSafeInteger(value.value)) return value.value;
  if (value === null || typeof value !== 'object') return value;
  throw new JinjaError(`unhashable type: '${typeName(value)}'`);
}

/** dict.keys(), .values() and .items(). */
export class View {
  constructor(
    readonly kind: 'dict_keys' | 'dict_values' | 'dict_items',
    readonly items: Value[],
  ) {}
}

/** What gives its items once: Python's generators and iterators. It has no length, and is true. */
export class Iterator {
  #at = 0;

  constructor(private readonly items: Value[]) {}

  take(): Value[] {
    const rest = this.items.slice(this.#at);
    this.#at = this.items.length;
    return rest;
  }

  next(): Value | undefined {
    return this.items[this.#at++];
  }
}

/** namespace(): the one thing whose attributes a template may set. */
export class Namespace {
  readonly map = new Map<string, Value>();
}

/** A name or an attribute that isn't there. Most of what is done with it is an error that says `why`. */
export class Undefined {
  constructor(readonly why: string) {}

  fail(): never {
    throw new JinjaError(this.why);
  }
}

/** The arguments of a call. */
export interface Arguments {
  positional: Value[];
  named: Map<string, Value>;
}

export class Callable {
  constructor(
    readonly name: string,
    readonly call: (args: Arguments, budget: Budget) => Value,
    readonly attributes: Record<string, Value> = {},
  ) {}
}

/** An object with attributes of its own, such as `loop`. */
export class Attributes {
  constructor(
    readonly kind: string,
    readonly get: (name: string) => Value | undefined,
    readonly call?: (args: Arguments, budget: Budget) => Value,
  ) {}
}

/** A number that was kept as its text, because JavaScript's would differ. */
function exactValue(value: object): Value | undefined {
  const digits = digitsOf(value);
  if (digits === undefined) return undefined;
  if (!/^-?\d+$/.test(digits)) return new Float(Number(digits));
  return Number.isSafeInteger(Number(digits)) ? Number(digits) : BigInt(digits);
}

/** JSON as Python's json reads it: whole numbers are ints, all others floats. */
export function fromJson(value: unknown): Value {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : new Float(value);
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value === 'object' && !(value instanceof Date)) {
    const exact = exactValue(value);
    if (exact !== undefined) return exact;
    const given = Object.entries(value).filter(([, item]) => item !== undefined);
    return new Dict(given.map(([key, item]) => [key, fromJson(item)] as const));
  }
  throw new JinjaError(
    `a value of the kind ${value instanceof Date ? 'date' : typeof value} can't be given to a template`,
  );
}

/** A value, or another one where there is none. None is a value, which `??` would pass by. */
export const orElse = (value: Value | undefined, otherwise: () => Value): Value =>
  value === undefined ? otherwise() : value;

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (typeof value === 'string') return 'str';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number' || typeof value === 'bigint') return 'int';
  if (value instanceof Float) return 'float';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Dict) return 'dict';
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Tuple || value instanceof View || value instanceof Attributes) return value.kind;
  if (value instanceof Iterator) return 'generator';
  return value instanceof Namespace ? 'Namespace' : 'function';
}

export const isInt = (value: Value): value is number | bigint => typeof value === 'number' || typeof value === 'bigint';

/** The items of what Python can go through; undefined of everything else. Strings give their code points, dicts their keys. */
export function itemsOf(value: Value, budget: Budget): Value[] | undefined {
  let items: Value[] | undefined;
  if (typeof value === 'string') {
    budget.items(value.length);
    return Array.from(value);
  }
  if (Array.isArray(value)) items = value;
  else if (value instanceof Tuple || value instanceof View) items = value.items;
  else if (value instanceof Dict) items = [...value.map.keys()];
  else if (value instanceof Iterator) items = value.take();
  else if (value instanceof Undefined) items = [];
  if (items) budget.spend(1 + items.length / 4);
  return items;
}

/** @throws JinjaError for what can't be gone through */
export function iterate(value: Value, budget: Budget): Value[] {
  const items = itemsOf(value, budget);
  if (!items) throw new JinjaError(`'${typeName(value)}' object is not iterable`);
  return items;
}

/** len(). Strings count code points. @throws JinjaError for what has no length */
export function lengthOf(value: Value): number {
  if (typeof value === 'string') return codePoints(value);
  if (Array.isArray(value)) return value.length;
  if (value instanceof Tuple || value instanceof View) return value.items.length;
  if (value instanceof Dict) return value.map.size;
  if (value instanceof Undefined) return 0;
  throw new JinjaError(`object of type '${typeName(value)}' has no len()`);
}

const PAIRS = /[\ud800-\udbff][\udc00-\udfff]/g;

/** Code points of a text. */
export const codePoints = (text: string): number => text.length - (text.match(PAIRS)?.length ?? 0);

export const hasPairs = (text: string): boolean => text.search(PAIRS) >= 0;

export function truthy(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (typeof value !== 'object') return Boolean(value);
  if (value instanceof Float) return value.value !== 0;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Tuple || value instanceof View) return value.items.length > 0;
  return value instanceof Dict ? value.map.size > 0 : true;
}
