import type { Budget } from './budget.ts';
import { JinjaError } from './budget.ts';
import { DICT_METHODS, LIST_METHODS } from './container-methods.ts';
import { STRING_METHODS } from './string-methods.ts';
import {
  Attributes,
  Callable,
  Dict,
  Float,
  orElse,
  hasPairs,
  isInt,
  keyOf,
  Namespace,
  Tuple,
  typeName,
  Undefined,
} from './values.ts';
import type { Value } from './values.ts';
import { repr } from './text.ts';

/** Methods that would change a value: chat templates are rendered in a sandbox without them. */
const CHANGING = [
  'append',
  'clear',
  'extend',
  'insert',
  'pop',
  'popitem',
  'remove',
  'reverse',
  'setdefault',
  'sort',
  'update',
];

function method(value: Value, name: string): Value | undefined {
  const bound = <Of extends Value>(of: Of, methods: Record<string, (of: Of, args: never, budget: Budget) => Value>) => {
    const found = Object.hasOwn(methods, name) ? methods[name] : undefined;
    return found && new Callable(name, (args, budget) => found(of, args as never, budget));
  };
  if (typeof value === 'string') return bound(value, STRING_METHODS);
  const changing = CHANGING.includes(name) ? new Callable(name, () => { throw new JinjaError(`<function ${name}> is not safely callable: a template changes no list and no dict`); }) : undefined; // prettier-ignore
  if (value instanceof Dict) return bound(value, DICT_METHODS) ?? (['pop', 'popitem', 'setdefault', 'update', 'clear'].includes(name) ? changing : undefined); // prettier-ignore
  if (Array.isArray(value)) return bound(value, LIST_METHODS) ?? changing;
  if (value instanceof Tuple) return bound(value.items, LIST_METHODS);
  if (value instanceof Float && name === 'is_integer') return new Callable(name, () => Number.isInteger(value.value));
  return undefined;
}

function ownAttribute(value: Value, name: string): Value | undefined {
  if (value instanceof Namespace) return value.map.get(name);
  if (value instanceof Attributes) return value.get(name);
  if (value instanceof Callable) return Object.hasOwn(value.attributes, name) ? value.attributes[name] : undefined;
  return name.startsWith('_') ? undefined : method(value, name);
}

const described = (value: Value) =>
  value === null ? 'None' : value instanceof Undefined ? value.why : `'${typeName(value)} object'`;

/** `value.name`: an attribute or method, else the item of that name, else undefined. @throws JinjaError on what is undefined */
export function getAttribute(value: Value, name: string): Value {
  if (value instanceof Undefined) value.fail();
  const own = ownAttribute(value, name);
  const found = own === undefined && value instanceof Dict ? value.map.get(name) : own;
  return orElse(found, () => new Undefined(`${described(value)} has no attribute '${name}'`));
}

/** `value[key]`: the item, else the attribute of that name, else undefined. @throws JinjaError on what is undefined */
export function getItem(value: Value, key: Value, budget: Budget): Value {
  if (value instanceof Undefined) value.fail();
  const own = item(value, key);
  const found = own === undefined && typeof key === 'string' ? ownAttribute(value, key) : own;
  const shown = () => (key instanceof Undefined ? key.why : repr(key, budget));
  return orElse(found, () => new Undefined(`${described(value)} has no element ${shown()}`));
}

function item(value: Value, key: Value): Value | undefined {
  if (value instanceof Dict) return hashable(key) ? value.map.get(keyOf(key)) : undefined;
  const index = typeof key === 'boolean' ? Number(key) : isInt(key) ? Number(key) : undefined;
  if (index === undefined) return undefined;
  if (typeof value === 'string') return characters(value).at(index);
  const items = Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;
  return items?.at(index);
}

const hashable = (key: Value) => key === null || typeof key !== 'object' || key instanceof Float;

/** A text's code points; where each is one unit, the text itself. */
const characters = (text: string): string | string[] => (hasPairs(text) ? Array.from(text) : text);

/** `value[from:to:step]`. @throws JinjaError for what can't be cut */
export function slice(value: Value, [from, to, step]: (Value | undefined)[], budget: Budget): Value {
  if (value instanceof Undefined) value.fail();
  const source = typeof value === 'string' ? characters(value) : Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined; // prettier-ignore
  if (source === undefined) throw new JinjaError(`'${typeName(value)}' object can't be sliced`);
  if (typeof value === 'string') budget.items(typeof source === 'string' ? source.length / 16 : source.length);
  const by = whole(step, 1);
  if (by === 0) throw new JinjaError('slice step cannot be zero');
  const { length } = source;
  const clamp = (index: number, low: number, high: number) =>
    Math.min(Math.max(index < 0 ? index + length : index, low), high);
  const [low, high] = by > 0 ? [0, length] : [-1, length - 1];
  const start = from === undefined || from === null ? (by > 0 ? low : high) : clamp(whole(from), low, high);
  const end = to === undefined || to === null ? (by > 0 ? high : low) : clamp(whole(to), low, high);
  if (by === 1 && typeof source === 'string') return source.slice(start, Math.max(start, end));
  const taken: Value[] = [];
  for (let i = start; by > 0 ? i < end : i > end; i += by) taken.push(source[i]!);
  if (typeof value === 'string') return taken.join('');
  return Array.isArray(value) ? taken : new Tuple(taken, (value as Tuple).kind);
}

function whole(value: Value | undefined, otherwise = 0): number {
  if (value === undefined || value === null) return otherwise;
  if (value instanceof Undefined) value.fail();
  if (typeof value === 'boolean' || isInt(value)) return Number(value);
  throw new JinjaError('slice indices must be integers or None');
}
