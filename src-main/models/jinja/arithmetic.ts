import type { Budget } from './budget.ts';
import { JinjaError } from './budget.ts';
import { str } from './text.ts';
import { Dict, Float, isInt, Tuple, typeName, Undefined } from './values.ts';
import type { Value } from './values.ts';

/** Bits of the largest whole number that is made. */
const MOST_BITS = 16_384;

/** A whole number as the smallest kind that holds it. */
const int = (value: bigint): number | bigint => {
  const small = Number(value);
  return Number.isSafeInteger(small) ? small : value;
};

function bits(value: number | bigint): number {
  return typeof value === 'number' ? 53 : value.toString(16).length * 4;
}

/** Two numbers, both as floats or both as ints; undefined where one is none. */
function numbers(
  a: Value,
  b: Value,
): { floats?: [number, number]; ints?: [number | bigint, number | bigint] } | undefined {
  const [x, y] = [a, b].map((value) => (typeof value === 'boolean' ? Number(value) : value)) as [Value, Value];
  if (isInt(x) && isInt(y)) return { ints: [x, y] };
  const float = (value: Value) => (value instanceof Float ? value.value : isInt(value) ? Number(value) : undefined);
  const [p, q] = [float(x), float(y)];
  return p === undefined || q === undefined ? undefined : { floats: [p, q] };
}

const floorDivide = (a: bigint, b: bigint) => (a % b !== 0n && a < 0n !== b < 0n ? a / b - 1n : a / b);
const floatModulo = (a: number, b: number) => {
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
};

const INTS: Record<string, (a: bigint, b: bigint) => bigint> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '//': floorDivide,
  '%': (a, b) => a - floorDivide(a, b) * b,
};
const FLOATS: Record<string, (a: number, b: number) => number> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '//': (a, b) => Math.floor(a / b),
  '%': floatModulo,
  '**': (a, b) => a ** b,
};

function calculate(operator: string, a: Value, b: Value): Value | undefined {
  const pair = numbers(a, b);
  if (!pair) return undefined;
  const [x, y] = pair.ints ?? pair.floats!;
  if ('/%'.includes(operator[0]!) && Number(y) === 0) throw new JinjaError('division by zero');
  if (!pair.ints || operator === '/') return new Float(FLOATS[operator]!(Number(x), Number(y)));
  if (operator === '**') return power(x, y);
  if (operator === '*' && bits(x) + bits(y) > MOST_BITS) throw new JinjaError('a whole number grows too large');
  return int(INTS[operator]!(BigInt(x), BigInt(y)));
}

function power(base: number | bigint, exponent: number | bigint): Value {
  if (exponent < 0) return new Float(Number(base) ** Number(exponent));
  const baseBits = BigInt(base).toString(2).length;
  if (baseBits * Number(exponent) > MOST_BITS && base !== 1 && base !== 0 && base !== -1)
    throw new JinjaError('a whole number grows too large');
  return int(BigInt(base) ** BigInt(exponent));
}

/** A text or list so many times. */
function repeated(value: Value, times: Value, budget: Budget): Value | undefined {
  if (!isInt(times) && typeof times !== 'boolean') return undefined;
  const count = Math.max(0, Number(times));
  if (typeof value === 'string') {
    budget.characters(value.length * count);
    return value.repeat(count);
  }
  const items = Array.isArray(value)
    ? value
    : value instanceof Tuple && value.kind === 'tuple'
      ? value.items
      : undefined;
  if (!items) return undefined;
  budget.items(items.length * count);
  const all = Array.from({ length: count }, () => items).flat();
  return Array.isArray(value) ? all : new Tuple(all);
}

function added(a: Value, b: Value, budget: Budget): Value | undefined {
  if (typeof a === 'string' && typeof b === 'string') {
    budget.characters(a.length + b.length);
    return a + b;
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    budget.items(a.length + b.length);
    return [...a, ...b];
  }
  if (!(a instanceof Tuple && b instanceof Tuple) || a.kind !== 'tuple' || b.kind !== 'tuple') return undefined;
  budget.items(a.items.length + b.items.length);
  return new Tuple([...a.items, ...b.items]);
}

/** a + b and the like, as Python. @throws JinjaError for kinds that don't go together */
export function binary(operator: string, a: Value, b: Value, budget: Budget): Value {
  budget.spend(1);
  if (a instanceof Undefined) a.fail();
  if (operator === '%' && typeof a === 'string') return percent(a, b, budget);
  if (b instanceof Undefined) b.fail();
  const result =
    calculate(operator, a, b) ??
    (operator === '+' ? added(a, b, budget) : undefined) ??
    (operator === '*' ? (repeated(a, b, budget) ?? repeated(b, a, budget)) : undefined);
  if (result !== undefined) return result;
  if (operator === '+' && typeof a === 'string')
    throw new JinjaError(`can only concatenate str (not "${typeName(b)}") to str`);
  throw new JinjaError(`unsupported operand type(s) for ${operator}: '${typeName(a)}' and '${typeName(b)}'`);
}

/** -a and +a. */
export function signed(operator: '-' | '+', value: Value): Value {
  if (value instanceof Undefined) value.fail();
  const number = typeof value === 'boolean' ? Number(value) : value;
  if (number instanceof Float) return operator === '-' ? new Float(-number.value) : number;
  if (isInt(number)) return operator === '-' ? int(-BigInt(number)) : number;
  throw new JinjaError(`bad operand type for unary ${operator}: '${typeName(value)}'`);
}

/** The % of texts, and the filter `format`: %s, %d, %f, %r and %% with a width and a precision. */
export function percent(format: string, given: Value, budget: Budget): string {
  const values = given instanceof Tuple ? [...given.items] : [given];
  const named = given instanceof Dict ? given : undefined;
  budget.characters(format.length);
  const text = format.replace(
    /%(?:\((\w+)\))?([-0+ ]*)(\d*)(?:\.(\d+))?(.)/gs,
    (whole, key, flags: string, width: string, precision: string | undefined, kind: string) => {
      // prettier-ignore
      if (kind === '%') return '%';
      const value = key === undefined ? values.shift() : named?.map.get(key as string);
      if (value === undefined) throw new JinjaError('not enough arguments for format string');
      if (Number(width) > 10_000 || Number(precision ?? 0) > 100)
        throw new JinjaError(`"${whole}" asks for too much room`);
      const shown = formatted(kind, value, precision, budget);
      const sign = 'dif'.includes(kind) && !shown.startsWith('-') && /[+ ]/.exec(flags);
      const body = sign ? sign[0] + shown : shown;
      budget.characters(Number(width));
      if (flags.includes('-')) return body.padEnd(Number(width));
      if (!flags.includes('0') || !'dif'.includes(kind)) return body.padStart(Number(width));
      const [, first, digits] = /^([-+ ]?)(.*)$/.exec(body)!;
      return first + digits!.padStart(Number(width) - first!.length, '0');
    },
  );
  if (!named && values.length > 0 && given instanceof Tuple)
    throw new JinjaError('not all arguments converted during string formatting');
  return text;
}

function formatted(kind: string, value: Value, precision: string | undefined, budget: Budget): string {
  if (kind === 's') return str(value, budget).slice(0, precision === undefined ? undefined : Number(precision));
  const number = value instanceof Float ? value.value : isInt(value) ? value : typeof value === 'boolean' ? Number(value) : undefined; // prettier-ignore
  if (number === undefined) throw new JinjaError(`%${kind} format: a number is required, not ${typeName(value)}`);
  if (kind === 'd' || kind === 'i') return String(typeof number === 'number' ? Math.trunc(number) : number);
  if (kind === 'f') return Number(number).toFixed(Number(precision ?? 6));
  throw new JinjaError(`the format %${kind} is not supported in chat templates here`);
}
