import { bind } from './arguments.ts';
import { binary } from './arithmetic.ts';
import type { Budget } from './budget.ts';
import { JinjaError } from './budget.ts';
import { compare, contains, equals } from './compare.ts';
import { Callable, Dict, Float, isInt, Iterator, Namespace, Tuple, Undefined, View } from './values.ts';
import type { Arguments, Value } from './values.ts';

export type Test = (value: Value, args: Arguments, budget: Budget) => boolean;

const with1 =
  (name: string, test: (value: Value, other: Value, budget: Budget) => boolean): Test =>
  (value, args, budget) =>
    test(value, bind(name, args, ['other'], 1)[0]!, budget);

const ordered = (name: string, sign: string, holds: (order: number) => boolean) =>
  with1(name, (a, b, budget) => holds(compare(a, b, sign, budget)));

const equal = with1('eq', equals);
const different = with1('ne', (a, b, budget) => !equals(a, b, budget));
const less = ordered('lt', '<', (order) => order < 0);
const atMost = ordered('le', '<=', (order) => order <= 0);
const greater = ordered('gt', '>', (order) => order > 0);
const atLeast = ordered('ge', '>=', (order) => order >= 0);

const rest = (value: Value, by: Value, budget: Budget) => equals(binary('%', value, by, budget), 0, budget);
const isNumber = (value: Value) => isInt(value) || value instanceof Float || typeof value === 'boolean';
const isSequence = (value: Value) =>
  typeof value === 'string' || Array.isArray(value) || value instanceof Tuple || value instanceof Dict || value instanceof Undefined; // prettier-ignore
const cased = (value: Value, same: (text: string) => string) =>
  typeof value === 'string' && /\p{L}/u.test(value) && value === same(value);

/** The tests that chat templates can use. */
export const TESTS: Record<string, Test> = {
  boolean: (value) => typeof value === 'boolean',
  callable: (value) => value instanceof Callable,
  defined: (value) => !(value instanceof Undefined),
  divisibleby: with1('divisibleby', rest),
  eq: equal,
  equalto: equal,
  '==': equal,
  even: (value, _, budget) => rest(value, 2, budget),
  false: (value) => value === false,
  float: (value) => value instanceof Float,
  ge: atLeast,
  '>=': atLeast,
  greaterthan: greater,
  gt: greater,
  '>': greater,
  in: with1('in', (value, container, budget) => contains(container, value, budget)),
  integer: isInt,
  iterable: (value) => isSequence(value) || value instanceof View || value instanceof Iterator,
  le: atMost,
  '<=': atMost,
  lessthan: less,
  lower: (value) => cased(value, (text) => text.toLowerCase()),
  lt: less,
  '<': less,
  mapping: (value) => value instanceof Dict,
  ne: different,
  '!=': different,
  none: (value) => value === null,
  number: isNumber,
  odd: (value, _, budget) => !rest(value, 2, budget),
  sameas: with1('sameas', (a, b) => {
    if (a instanceof Namespace || typeof a !== 'object' || a === null || typeof b !== 'object') return a === b;
    throw new JinjaError('`is sameas` is supported for None, bool, numbers and texts alone');
  }),
  sequence: isSequence,
  string: (value) => typeof value === 'string',
  true: (value) => value === true,
  undefined: (value) => value instanceof Undefined,
  upper: (value) => cased(value, (text) => text.toUpperCase()),
};
