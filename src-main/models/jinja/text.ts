import type { Budget } from './budget.ts';
import { JinjaError } from './budget.ts';
import { Attributes, Callable, Dict, Float, Iterator, Namespace, Tuple, typeName, Undefined, View } from './values.ts';
import type { Value } from './values.ts';

/** A float as Python writes it: the shortest digits, an exponent below 1e-4 and from 1e16 on. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [mantissa, exponent] = value.toExponential().split('e') as [string, string];
  const power = Number(exponent);
  if (power < -4 || power >= 16)
    return `${mantissa}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  const plain = power < 0 ? value.toFixed(mantissa.replace(/[-.]/g, '').length - 1 - power) : String(value);
  return plain.includes('.') ? plain : `${plain}.0`;
}

const ESCAPES: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' };
/** What Python's repr writes as an escape: all but letters, marks, numbers, signs and the plain space. */
const UNPRINTABLE = /[\\'\n\r\t]|(?! )[\p{C}\p{Z}]/gu;

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = text.replace(UNPRINTABLE, (character) => {
    if (character === "'") return quote === "'" ? "\\'" : "'";
    const code = character.codePointAt(0)!;
    const hex = code.toString(16);
    return ESCAPES[character] ?? (code < 256 ? `\\x${hex.padStart(2, '0')}` : code < 65536 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`); // prettier-ignore
  });
  return `${quote}${body}${quote}`;
}

/** str(): how a template prints a value. */
export function str(value: Value, budget: Budget): string {
  if (typeof value !== 'string') return value instanceof Undefined ? '' : repr(value, budget);
  return value;
}

/** repr(): how a value stands inside a list that is printed. */
export function repr(value: Value, budget: Budget): string {
  budget.spend(1);
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (value instanceof Float) return floatText(value.value);
  if (value instanceof Undefined) return 'Undefined';
  if (typeof value === 'string') {
    budget.characters(value.length);
    return quoted(value);
  }
  // Each level of a list writes its parts once more.
  const joined = (parts: string[]) => {
    budget.spend(6);
    budget.characters(parts.reduce((sum, part) => sum + part.length + 2, 0));
    return parts.join(', ');
  };
  const list = (items: Value[]) => joined(items.map((item) => repr(item, budget)));
  if (Array.isArray(value)) return `[${list(value)}]`;
  if (value instanceof Dict) {
    const entries = [...value.map].map(([key, item]) => `${repr(key, budget)}: ${repr(item, budget)}`);
    return `{${joined(entries)}}`;
  }
  if (value instanceof View) return `${value.kind}([${list(value.items)}])`;
  if (value instanceof Tuple) {
    if (value.kind === 'tuple') return `(${list(value.items)}${value.items.length === 1 ? ',' : ''})`;
    throw new JinjaError('a range can be gone through, not printed');
  }
  if (value instanceof Namespace) return `<Namespace ${repr(new Dict(value.map), budget)}>`;
  if (value instanceof Iterator || value instanceof Callable || value instanceof Attributes)
    throw new JinjaError(`a ${typeName(value)} can't be printed; what Python writes for it changes from run to run`);
  throw new JinjaError(`a ${typeName(value)} can't be printed`);
}

export interface JsonOptions {
  ensureAscii: boolean;
  /** undefined: all on one line */
  indent?: string;
  separators: [item: string, key: string];
  sortKeys: boolean;
}

const hex4 = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;

function jsonText(text: string, ascii: boolean): string {
  // JSON.stringify writes lone surrogates as escapes, which Python does with ensure_ascii alone; there is nothing to tell them by.
  const body = JSON.stringify(text);
  return ascii ? body.replace(/[\u007f-\uffff]/g, hex4) : body;
}

/** json.dumps(): the order of the keys is kept. @throws JinjaError for what JSON doesn't know */
export function json(value: Value, options: JsonOptions, budget: Budget, depth = 0): string {
  budget.spend(1);
  if (value === null) return 'null';
  if (typeof value === 'boolean' || typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (value instanceof Float) {
    const text = floatText(value.value);
    return { nan: 'NaN', inf: 'Infinity', '-inf': '-Infinity' }[text] ?? text;
  }
  if (typeof value === 'string') {
    budget.characters(value.length);
    return jsonText(value, options.ensureAscii);
  }
  const [between, colon] = options.separators;
  const wrap = (open: string, parts: string[], close: string) => {
    budget.spend(6);
    if (parts.length === 0) return open + close;
    budget.characters(parts.reduce((sum, part) => sum + part.length + between.length, 0));
    if (options.indent === undefined) return open + parts.join(between) + close;
    const line = `\n${options.indent.repeat(depth + 1)}`;
    budget.characters(line.length * parts.length);
    return open + line + parts.join(between + line) + `\n${options.indent.repeat(depth)}` + close;
  };
  const items = Array.isArray(value)
    ? value
    : value instanceof Tuple && value.kind === 'tuple'
      ? value.items
      : undefined;
  if (items) return wrap('[', items.map((item) => json(item, options, budget, depth + 1)), ']'); // prettier-ignore
  if (!(value instanceof Dict)) throw new JinjaError(`Object of type ${typeName(value)} is not JSON serializable`);
  const keys = [...value.map.keys()];
  if (options.sortKeys) keys.sort((a, b) => (String(a) < String(b) ? -1 : 1));
  const pair = (key: (typeof keys)[number]) => {
    const name = typeof key === 'string' ? key : json(key, options, budget);
    return `${jsonText(name, options.ensureAscii)}${colon}${json(value.map.get(key)!, options, budget, depth + 1)}`;
  };
  return wrap('{', keys.map(pair), '}');
}
