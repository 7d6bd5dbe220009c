import { bind, text, whole } from './arguments.ts';
import { binary, percent } from './arithmetic.ts';
import { getAttribute, getItem } from './attributes.ts';
import { JinjaError } from './budget.ts';
import type { Budget } from './budget.ts';
import { compare, equals } from './compare.ts';
import { pairs } from './container-methods.ts';
import { capitalize, join, replace, strip } from './string-methods.ts';
import { TESTS } from './tests.ts';
import type { Test } from './tests.ts';
import { json, str } from './text.ts';
import { codePoints, Dict, Float, isInt, iterate, Iterator, lengthOf, orElse, Tuple, truthy, typeName, Undefined } from './values.ts'; // prettier-ignore
import type { Arguments, Value } from './values.ts';

export type Filter = (value: Value, args: Arguments, budget: Budget) => Value;

/** A value as text, for filters that take any. */
function soft(value: Value, budget: Budget): string {
  const shown = str(value, budget);
  budget.characters(shown.length);
  return shown;
}

/** What `attribute='a.b'` reads of an item. */
function attributeOf(name: Value, budget: Budget): (item: Value) => Value {
  const steps = typeof name === 'string' ? name.split('.') : [String(name)];
  return (item) =>
    steps.reduce<Value>((at, step) => getItem(at, /^\d+$/.test(step) ? Number(step) : step, budget), item);
}

const lowered = (value: Value) => (typeof value === 'string' ? value.toLowerCase() : value);

/** The key that sort, unique, min and max compare by. */
function keyFor(attribute: Value | undefined, caseSensitive: Value | undefined, budget: Budget) {
  const read = attribute === undefined || attribute === null ? (item: Value) => item : attributeOf(attribute, budget);
  return (item: Value) => (caseSensitive && truthy(caseSensitive) ? read(item) : lowered(read(item)));
}

function sorted(items: Value[], key: (item: Value) => Value, reverse: boolean, budget: Budget): Value[] {
  budget.items(items.length);
  const keyed = items.map((item) => ({ item, key: key(item) }));
  keyed.sort((a, b) => (reverse ? compare(b.key, a.key, '<', budget) : compare(a.key, b.key, '<', budget)));
  return keyed.map(({ item }) => item);
}

/** min and max. */
const extreme =
  (name: string, better: (order: number) => boolean): Filter =>
  (value, args, budget) => {
    const [caseSensitive, attribute] = bind(name, args, ['case_sensitive', 'attribute']);
    const key = keyFor(attribute, caseSensitive, budget);
    const items = iterate(value, budget);
    if (items.length === 0) return new Undefined('No aggregated item, sequence was empty.');
    return items.reduce((best, item) => (better(compare(key(item), key(best), '<', budget)) ? item : best));
  };

/** What map and select go through: nothing of a value that is false, such as None. */
const itemsOfTrue = (value: Value, budget: Budget) => (truthy(value) ? iterate(value, budget) : []);

/** select, reject, selectattr and rejectattr: those that pass a test, or are true. */
const choosing =
  (name: string, wanted: boolean, byAttribute: boolean): Filter =>
  (value, { positional, named }, budget) => {
    const rest = [...positional];
    if (byAttribute && rest.length === 0) throw new JinjaError(`${name} misses the attribute's name`);
    const read = byAttribute ? attributeOf(rest.shift()!, budget) : (item: Value) => item;
    const testName = rest.length ? text(`${name}'s test`, rest.shift()) : undefined;
    const test: Test = testName === undefined ? truthy : testNamed(testName);
    const passes = (item: Value) => test(read(item), { positional: rest, named }, budget) === wanted;
    return new Iterator(itemsOfTrue(value, budget).filter(passes));
  };

function testNamed(name: string): Test {
  const test = Object.hasOwn(TESTS, name) ? TESTS[name] : undefined;
  if (!test) throw new JinjaError(`No test named '${name}'`);
  return test;
}

/** map: an attribute of each, or each through a filter. */
const map: Filter = (value, { positional, named }, budget) => {
  const items = itemsOfTrue(value, budget);
  if (positional.length === 0) {
    const [attribute, otherwise] = bind('map', { positional, named }, ['attribute', 'default'], 1);
    const read = attributeOf(attribute!, budget);
    const orDefault = (found: Value) => (found instanceof Undefined && otherwise !== undefined ? otherwise : found);
    return new Iterator(items.map((item) => orDefault(read(item))));
  }
  const [name, ...rest] = positional;
  const filter = filterNamed(text("map's filter", name));
  return new Iterator(items.map((item) => filter(item, { positional: rest, named }, budget)));
};

/** @throws JinjaError for one that isn't there */
export function filterNamed(name: string): Filter {
  const filter = Object.hasOwn(FILTERS, name) ? FILTERS[name] : undefined;
  if (!filter) throw new JinjaError(`No filter named '${name}' that chat templates can use here`);
  return filter;
}

function toInt(value: Value, args: Arguments): Value {
  const [otherwise = 0, base] = bind('int', args, ['default', 'base']);
  if (value instanceof Undefined) value.fail();
  if (typeof value === 'boolean') return Number(value);
  if (isInt(value)) return value;
  if (value instanceof Float) return Number.isFinite(value.value) ? Number(BigInt(Math.trunc(value.value))) : otherwise;
  if (typeof value !== 'string') return otherwise;
  const digits = strip(value, 'both').replace(/(?<=\d)_(?=\d)/g, '');
  if (digits.length > 4_000) return otherwise;
  const radix = whole("int's base", base, 10);
  if (radix === 10 && /^[-+]?\d+$/.test(digits)) {
    const exact = BigInt(digits.replace('+', ''));
    return Number.isSafeInteger(Number(exact)) ? Number(exact) : exact;
  }
  if (radix !== 10) {
    const parsed = parseInt(digits.replace(/^0[xob]/i, ''), radix);
    return Number.isSafeInteger(parsed) ? parsed : otherwise;
  }
  const float = parsedFloat(digits);
  return float !== undefined && Number.isFinite(float) ? Math.trunc(float) : otherwise;
}

const parsedFloat = (digits: string): number | undefined =>
  /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(digits) ? Number(digits) : undefined;

function toFloat(value: Value, args: Arguments): Value {
  const [otherwise = new Float(0)] = bind('float', args, ['default']);
  if (value instanceof Undefined) value.fail();
  if (value instanceof Float) return value;
  if (typeof value === 'boolean' || isInt(value)) return new Float(Number(value));
  const parsed =
    typeof value === 'string' ? parsedFloat(strip(value, 'both').replace(/(?<=\d)_(?=\d)/g, '')) : undefined;
  return parsed === undefined ? otherwise : new Float(parsed);
}

/** Python's round(): to even where two are as near. */
function round(value: Value, args: Arguments): Value {
  const [precision, method = 'common'] = bind('round', args, ['precision', 'method']);
  const digits = whole("round's precision", precision, 0);
  const number =
    value instanceof Float ? value.value : isInt(value) || typeof value === 'boolean' ? Number(value) : NaN;
  if (Number.isNaN(number)) throw new JinjaError(`type ${typeName(value)} doesn't define __round__ method`);
  if (Math.abs(digits) > 100) throw new JinjaError("round's precision is too large");
  if (method !== 'common') {
    const cut = method === 'ceil' ? Math.ceil : Math.floor;
    return new Float(cut(number * 10 ** digits) / 10 ** digits);
  }
  if (isInt(value) && digits >= 0) return value;
  if (digits > 0) return new Float(Number(number.toFixed(digits)));
  const scale = 10 ** -digits;
  const scaled = number / scale;
  const nearest = Math.round(scaled);
  const even = Math.abs(scaled % 1) === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
  return isInt(value) ? even * scale : new Float(even * scale);
}

/** jinja's title(): a capital behind white space, hyphens and opening brackets. */
const title = (value: string) =>
  value.split(/([-\s({[<]+)/u).map((word) => capitalize(word)).join(''); // prettier-ignore

function indent(value: Value, args: Arguments, budget: Budget): string {
  const [width = 4, first = false, blank = false] = bind('indent', args, ['width', 'first', 'blank']);
  const by = typeof width === 'string' ? width : ' '.repeat(Math.min(10_000, whole("indent's width", width, 4)));
  const lines = soft(value, budget).split(/\r\n|\r|\n/);
  budget.characters(by.length * lines.length);
  const rest = lines.slice(1).map((line) => (line === '' && !truthy(blank) ? line : by + line));
  return (truthy(first) ? by : '') + [lines[0]!, ...rest].join('\n');
}

function truncate(value: Value, args: Arguments, budget: Budget): string {
  const [length = 255, cut = false, end = '...', leeway = 5] = bind('truncate', args, ['length', 'killwords', 'end', 'leeway']); // prettier-ignore
  const shown = Array.from(soft(value, budget));
  const [most, tail] = [whole('length', length, 255), text('end', end)];
  if (shown.length <= most + whole('leeway', leeway, 5)) return shown.join('');
  const kept = shown.slice(0, Math.max(0, most - tail.length)).join('');
  return (truthy(cut) || !kept.includes(' ') ? kept : kept.slice(0, kept.lastIndexOf(' '))) + tail;
}

function toJson(value: Value, args: Arguments, budget: Budget): string {
  const [ascii = false, indentation = null, separators = null, sortKeys = false] = bind('tojson', args, ['ensure_ascii', 'indent', 'separators', 'sort_keys']); // prettier-ignore
  const width = typeof indentation === 'string' ? indentation : indentation === null ? undefined : ' '.repeat(Math.min(100, Math.max(0, whole("tojson's indent", indentation, 0)))); // prettier-ignore
  const pair = separators === null ? undefined : iterate(separators, budget).map((part) => text('separators', part));
  if (pair && pair.length !== 2) throw new JinjaError("tojson's separators must be two texts");
  const usual: [string, string] = [width === undefined ? ', ' : ',', ': '];
  const options = { ensureAscii: truthy(ascii), indent: width, sortKeys: truthy(sortKeys) };
  return json(value, { ...options, separators: (pair as [string, string] | undefined) ?? usual }, budget);
}

function grouped(value: Value, args: Arguments, budget: Budget): Value {
  const [attribute, otherwise, caseSensitive = false] = bind('groupby', args, ['attribute', 'default', 'case_sensitive'], 1); // prettier-ignore
  const read = attributeOf(attribute!, budget);
  const of = (item: Value) => {
    const found = read(item);
    return found instanceof Undefined && otherwise !== undefined ? otherwise : found;
  };
  const key = (item: Value) => (truthy(caseSensitive) ? of(item) : lowered(of(item)));
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sorted(iterate(value, budget), key, false, budget)) {
    const last = groups.at(-1);
    if (last && equals(last.key, key(item), budget)) last.items.push(item);
    else groups.push({ key: key(item), items: [item] });
  }
  return groups.map(({ items }) => new Tuple([of(items[0]!), items]));
}

function batched(value: Value, args: Arguments, budget: Budget): Value {
  const [count, fill] = bind('batch', args, ['linecount', 'fill_with'], 1);
  const size = whole('linecount', count, 1);
  if (size < 1) throw new JinjaError('batch needs a size above 0');
  const items = iterate(value, budget);
  const rows: Value[] = [];
  for (let at = 0; at < items.length; at += size) rows.push(items.slice(at, at + size));
  const last = rows.at(-1) as Value[] | undefined;
  if (last && fill !== undefined && fill !== null) {
    budget.items(size);
    while (last.length < size) last.push(fill);
  }
  return new Iterator(rows);
}

function unique(value: Value, args: Arguments, budget: Budget): Value {
  const [caseSensitive, attribute] = bind('unique', args, ['case_sensitive', 'attribute']);
  const key = keyFor(attribute, caseSensitive, budget);
  const seen = new Dict();
  return new Iterator(
    iterate(value, budget).filter((item) => {
      const known = new Dict([[key(item), true]]).map.keys().next().value!;
      if (seen.map.has(known)) return false;
      return Boolean(seen.map.set(known, true));
    }),
  );
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&#39;', '"': '&#34;' };
const escape: Filter = (value, _, budget) => soft(value, budget).replace(/[&<>'"]/g, (sign) => ENTITIES[sign]!);

const first: Filter = (value, _, budget) => {
  if (value instanceof Iterator) return orElse(value.next(), () => new Undefined('No first item, sequence was empty.'));
  return orElse(iterate(value, budget)[0], () => new Undefined('No first item, sequence was empty.'));
};

const last: Filter = (value, _, budget) => {
  if (value instanceof Iterator) throw new JinjaError("'generator' object is not reversible");
  return orElse(iterate(value, budget).at(-1), () => new Undefined('No last item, sequence was empty.'));
};

const defaulted: Filter = (value, args) => {
  const [otherwise = '', boolean = false] = bind('default', args, ['default_value', 'boolean']);
  return value instanceof Undefined || (truthy(boolean) && !truthy(value)) ? otherwise : value;
};

const length: Filter = (value) => lengthOf(value);

const listed: Filter = (value, _, budget) => {
  const items = iterate(value, budget);
  budget.items(items.length);
  return [...items];
};

/** The filters that chat templates can use. */
export const FILTERS: Record<string, Filter> = {
  abs: (value) => {
    if (value instanceof Float) return new Float(Math.abs(value.value));
    if (!isInt(value) && typeof value !== 'boolean')
      throw new JinjaError(`bad operand type for abs(): '${typeName(value)}'`);
    return typeof value === 'bigint' ? (value < 0n ? -value : value) : Math.abs(Number(value));
  },
  attr: (value, args) => {
    const name = text("attr's argument", bind('attr', args, ['name'], 1)[0]);
    return value instanceof Dict ? getAttribute(new Dict(), name) : getAttribute(value, name);
  },
  batch: batched,
  capitalize: (value, _, budget) => capitalize(soft(value, budget)),
  center: (value, args, budget) => {
    const missing = Math.max(0, whole("center's width", bind('center', args, ['width'])[0], 80) - codePoints(soft(value, budget))); // prettier-ignore
    budget.characters(missing);
    const before = Math.floor(missing / 2);
    return ' '.repeat(before) + soft(value, budget) + ' '.repeat(missing - before);
  },
  count: length,
  d: defaulted,
  default: defaulted,
  dictsort: (value, args, budget) => {
    const [caseSensitive = false, by = 'key', reverse = false] = bind('dictsort', args, ['case_sensitive', 'by', 'reverse']); // prettier-ignore
    if (!(value instanceof Dict)) throw new JinjaError(`'${typeName(value)}' object has no attribute 'items'`);
    const at = by === 'key' ? 0 : 1;
    const key = (pair: Value) => {
      const part = (pair as Tuple).items[at]!;
      return truthy(caseSensitive) ? part : lowered(part);
    };
    return sorted(pairs(value), key, truthy(reverse), budget);
  },
  e: escape,
  escape,
  first,
  float: toFloat,
  format: (value, { positional, named }, budget) => {
    const given = named.size ? new Dict(named) : new Tuple(positional);
    return percent(soft(value, budget), given, budget);
  },
  groupby: grouped,
  indent,
  int: toInt,
  items: (value) => {
    if (value instanceof Undefined) return new Iterator([]);
    if (value instanceof Dict) return new Iterator(pairs(value));
    throw new JinjaError('Can only get item pairs from a mapping.');
  },
  join: (value, args, budget) => {
    const [separator = '', attribute] = bind('join', args, ['d', 'attribute']);
    const read = attribute === undefined || attribute === null ? (item: Value) => item : attributeOf(attribute, budget);
    return join(soft(separator, budget), iterate(value, budget).map((item) => soft(read(item), budget)), budget); // prettier-ignore
  },
  last,
  length,
  list: listed,
  lower: (value, _, budget) => soft(value, budget).toLowerCase(),
  map,
  max: extreme('max', (order) => order > 0),
  min: extreme('min', (order) => order < 0),
  reject: choosing('reject', false, false),
  rejectattr: choosing('rejectattr', false, true),
  replace: (value, args, budget) => {
    const [from, to, most] = bind('replace', args, ['old', 'new', 'count'], 2);
    return replace(soft(value, budget), soft(from!, budget), soft(to!, budget), whole('count', most ?? undefined, -1), budget); // prettier-ignore
  },
  reverse: (value, _, budget) => {
    if (typeof value === 'string') return Array.from(soft(value, budget)).reverse().join('');
    if (value instanceof Undefined) return new Iterator([]);
    const items = [...iterate(value, budget)].reverse();
    budget.items(items.length);
    return new Iterator(items);
  },
  round,
  safe: (value, _, budget) => soft(value, budget),
  select: choosing('select', true, false),
  selectattr: choosing('selectattr', true, true),
  sort: (value, args, budget) => {
    const [reverse = false, caseSensitive, attribute] = bind('sort', args, ['reverse', 'case_sensitive', 'attribute']); // prettier-ignore
    const names = typeof attribute === 'string' ? attribute.split(',') : [attribute];
    const keys = names.map((name) => keyFor(name, caseSensitive, budget));
    const key = keys.length === 1 ? keys[0]! : (item: Value) => keys.map((one) => one(item));
    return sorted(iterate(value, budget), key, truthy(reverse), budget);
  },
  string: (value, _, budget) => soft(value, budget),
  sum: (value, args, budget) => {
    const [attribute, start = 0] = bind('sum', args, ['attribute', 'start']);
    const read = attribute === undefined || attribute === null ? (item: Value) => item : attributeOf(attribute, budget);
    return iterate(value, budget).reduce((total, item) => binary('+', total, read(item), budget), start);
  },
  title: (value, _, budget) => title(soft(value, budget)),
  tojson: toJson,
  trim: (value, args, budget) => {
    const [set] = bind('trim', args, ['chars']);
    return strip(soft(value, budget), 'both', set === undefined || set === null ? undefined : text('chars', set));
  },
  truncate,
  unique,
  upper: (value, _, budget) => soft(value, budget).toUpperCase(),
  wordcount: (value, _, budget) => soft(value, budget).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0,
};
