import type { Budget } from './budget.ts';
import { JinjaError } from './budget.ts';
import { Dict, Float, isInt, itemsOf, keyOf, Tuple, typeName, Undefined, View } from './values.ts';
import type { Value } from './values.ts';

/** A number's value for comparing: bool counts as 0 and 1, as in Python. */
function numeric(value: Value): number | bigint | undefined {
  if (typeof value === 'boolean') return Number(value);
  if (value instanceof Float) return value.value;
  return isInt(value) ? value : undefined;
}

/** Python's ==: by type, lists and dicts by what they hold. */
export function equals(a: Value, b: Value, budget: Budget): boolean {
  budget.spend(3);
  if (a === b) {
    if (typeof a === 'string') budget.characters(a.length);
    return true;
  }
  if (a instanceof Undefined && b instanceof Undefined) return true;
  const [x, y] = [numeric(a), numeric(b)];
  // A number and a bigint are equal by value.
  if (x !== undefined && y !== undefined) return x == y;
  if (Array.isArray(a) && Array.isArray(b)) return allEqual(a, b, budget);
  if (a instanceof Tuple && b instanceof Tuple) return a.kind === b.kind && allEqual(a.items, b.items, budget);
  if (a instanceof View && b instanceof View)
    return a.kind === b.kind && a.kind !== 'dict_values' && allEqual(a.items, b.items, budget);
  if (!(a instanceof Dict && b instanceof Dict) || a.map.size !== b.map.size) return false;
  return [...a.map].every(([key, value]) => b.map.has(key) && equals(value, b.map.get(key)!, budget));
}

const allEqual = (a: Value[], b: Value[], budget: Budget): boolean =>
  a.length === b.length && a.every((item, i) => equals(item, b[i]!, budget));

/** Texts in the order of their code points. */
function compareTexts(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    if (a[i] === b[i]) continue;
    // The halves of a pair stand above all other characters.
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)].map((c) => (c >= 0xd800 && c < 0xe000 ? c + 0x10000 : c));
    return x! - y!;
  }
  return a.length - b.length;
}

/** Below 0, 0 or above 0. @throws JinjaError for values that have no order */
export function compare(a: Value, b: Value, operator: string, budget: Budget): number {
  budget.spend(3);
  if (a instanceof Undefined) a.fail();
  if (b instanceof Undefined) b.fail();
  if (typeof a === 'string' && typeof b === 'string') {
    budget.characters(Math.min(a.length, b.length));
    return compareTexts(a, b);
  }
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== undefined && y !== undefined) return x < y ? -1 : x > y ? 1 : x == y ? 0 : NaN;
  const [left, right] = [ordered(a), ordered(b)];
  if (left && right && Array.isArray(a) === Array.isArray(b)) {
    for (let i = 0; i < Math.min(left.length, right.length); i++)
      if (!equals(left[i]!, right[i]!, budget)) return compare(left[i]!, right[i]!, operator, budget);
    return left.length - right.length;
  }
  throw new JinjaError(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

const ordered = (value: Value): Value[] | undefined =>
  value instanceof Tuple && value.kind === 'tuple' ? value.items : Array.isArray(value) ? value : undefined;

/** Python's `item in container`. */
export function contains(container: Value, item: Value, budget: Budget): boolean {
  if (typeof container === 'string') {
    if (item instanceof Undefined) item.fail();
    if (typeof item !== 'string')
      throw new JinjaError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
    budget.characters(container.length);
    return container.includes(item);
  }
  if (container instanceof Dict) return container.map.has(keyOf(item));
  const items = itemsOf(container, budget);
  if (!items) throw new JinjaError(`argument of type '${typeName(container)}' is not iterable`);
  return items.some((other) => equals(other, item, budget));
}
