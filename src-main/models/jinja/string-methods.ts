import { bind, text, whole } from './arguments.ts';
import type { Budget } from './budget.ts';
import { JinjaError } from './budget.ts';
import { repr, str } from './text.ts';
import { codePoints, hasPairs, iterate, Tuple } from './values.ts';
import type { Arguments, Value } from './values.ts';

type Method = (value: string, args: Arguments, budget: Budget) => Value;

/** Characters that Python takes for white space. */
export const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const ONE_SPACE = new RegExp(`[${SPACE}]`);
const isSpace = (unit: string) => ONE_SPACE.test(unit);

export type Side = 'left' | 'right' | 'both';

/** strip(): white space, or every character of a set, from the ends. */
export function strip(value: string, side: Side, characters?: string): string {
  const set = characters === undefined ? undefined : new Set(characters);
  const goes = (unit: string) => (set ? set.has(unit) : isSpace(unit));
  const units = hasPairs(value) ? Array.from(value) : value;
  let [from, to] = [0, units.length];
  if (side !== 'right') while (from < to && goes(units[from]!)) from++;
  if (side !== 'left') while (to > from && goes(units[to - 1]!)) to--;
  const rest = units.slice(from, to);
  return typeof rest === 'string' ? rest : rest.join('');
}

const stripping =
  (name: string, side: Side): Method =>
  (value, args, budget) => {
    const [set] = bind(name, args, ['chars']);
    budget.characters(value.length);
    return strip(value, side, set === undefined || set === null ? undefined : text(`${name}'s argument`, set));
  };

/** Parts between a separator, at most `most` cuts made from one end; below 0 all. */
function split(value: string, separator: string, most: number, fromRight: boolean): string[] {
  if (separator === '') throw new JinjaError('empty separator');
  if (most < 0) return value.split(separator);
  const parts: string[] = [];
  let rest = value;
  while (parts.length < most) {
    const at = fromRight ? rest.lastIndexOf(separator) : rest.indexOf(separator);
    if (at < 0) break;
    const [before, after] = [rest.slice(0, at), rest.slice(at + separator.length)];
    parts.push(fromRight ? after : before);
    rest = fromRight ? before : after;
  }
  return fromRight ? [rest, ...parts.reverse()] : [...parts, rest];
}

/** Parts between runs of white space, likewise. */
function splitAtSpace(value: string, most: number, fromRight: boolean): string[] {
  const rest = strip(value, fromRight ? 'right' : 'left');
  const runs = [...rest.matchAll(new RegExp(`[${SPACE}]+`, 'g'))];
  const cuts = most < 0 ? runs : fromRight ? runs.slice(Math.max(0, runs.length - most)) : runs.slice(0, most);
  const ends = [...cuts.map(({ index }) => index), rest.length];
  const starts = [0, ...cuts.map((run) => run.index + run[0].length)];
  return starts.map((start, i) => rest.slice(start, ends[i])).filter((part) => part !== '');
}

const splitting =
  (name: string, fromRight: boolean): Method =>
  (value, args, budget) => {
    const [separator, most] = bind(name, args, ['sep', 'maxsplit']);
    const by = separator === undefined || separator === null ? undefined : text(`${name}'s separator`, separator);
    budget.characters(value.length * 2);
    const cuts = whole(`${name}'s maxsplit`, most, -1);
    const parts = by === undefined ? splitAtSpace(value, cuts, fromRight) : split(value, by, cuts, fromRight);
    budget.items(parts.length);
    return parts;
  };

const affix =
  (name: string, has: (value: string, part: string) => boolean): Method =>
  (value, args, budget) => {
    const [given, from, to] = bind(name, args, ['prefix', 'start', 'end'], 1);
    budget.characters(value.length / 8);
    const within = section(value, from, to).part;
    if (given instanceof Tuple) return given.items.some((part) => has(within, text(`${name}'s argument`, part)));
    return has(within, text(`${name}'s argument`, given));
  };

/** The part of a text between two indices in code points, and where it begins. */
function section(value: string, from: Value | undefined, to: Value | undefined): { part: string; start: number } {
  if ((from === undefined || from === null) && (to === undefined || to === null)) return { part: value, start: 0 };
  const all = Array.from(value);
  const index = (at: Value | undefined, otherwise: number) =>
    at === undefined || at === null ? otherwise : whole('an index', at, otherwise);
  const start = index(from, 0);
  const begin = start < 0 ? Math.max(0, start + all.length) : start;
  return { part: all.slice(begin, index(to, all.length)).join(''), start: begin };
}

const finding =
  (name: string, last: boolean, fails: boolean): Method =>
  (value, args, budget) => {
    const [wanted, from, to] = bind(name, args, ['sub', 'start', 'end'], 1);
    budget.characters(value.length);
    const { part, start } = section(value, from, to);
    const sub = text(`${name}'s argument`, wanted);
    const at = last ? part.lastIndexOf(sub) : part.indexOf(sub);
    if (at >= 0) return start + codePoints(part.slice(0, at));
    if (fails) throw new JinjaError('substring not found');
    return -1;
  };

const mapped =
  (change: (value: string) => string): Method =>
  (value, _, budget) => {
    budget.characters(value.length);
    return change(value);
  };

const tested =
  (test: (value: string) => boolean): Method =>
  (value, _, budget) => {
    budget.characters(value.length);
    return test(value);
  };
/** True of a text that isn't empty and holds these characters alone. */
const all = (set: string) => tested((value) => new RegExp(`^[${set}]+$`, 'u').test(value));

const padding =
  (name: string, side: Side): Method =>
  (value, args, budget) => {
    const [width, fill = ' '] = bind(name, args, ['width', 'fillchar'], 1);
    const missing = whole(`${name}'s width`, width, 0) - codePoints(value);
    if (missing <= 0) return value;
    budget.characters(value.length + missing);
    const filler = text('fillchar', fill);
    // Python puts the odd character of an odd width to the left.
    const before = side === 'left' ? missing : side === 'right' ? 0 : Math.floor(missing / 2) + (missing % 2 && (missing + codePoints(value)) % 2 ? 1 : 0); // prettier-ignore
    return filler.repeat(before) + value + filler.repeat(missing - before);
  };

const parting =
  (name: string, last: boolean): Method =>
  (value, args, budget) => {
    const separator = text('the separator', bind(name, args, ['sep'], 1)[0]);
    if (separator === '') throw new JinjaError('empty separator');
    budget.characters(value.length);
    const at = last ? value.lastIndexOf(separator) : value.indexOf(separator);
    if (at < 0) return new Tuple(last ? ['', '', value] : [value, '', '']);
    return new Tuple([value.slice(0, at), separator, value.slice(at + separator.length)]);
  };

export const capitalize = (value: string): string => {
  const [first = '', ...rest] = Array.from(value);
  return first.toUpperCase() + rest.join('').toLowerCase();
};

/** replace(): all occurrences, or the first few. */
export function replace(value: string, from: string, to: string, most: number, budget: Budget): string {
  let parts = from === '' ? ['', ...Array.from(value), ''] : split(value, from, most, false);
  if (from === '' && most >= 0) parts = [...parts.slice(0, most), parts.slice(most).join('')];
  budget.characters(value.length + to.length * parts.length);
  return parts.join(to);
}

export function join(separator: string, items: Value[], budget: Budget): string {
  let characters = 0;
  for (const item of items) characters += text('each item of join', item).length + separator.length;
  budget.characters(characters);
  return items.join(separator);
}

const LINES = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/;

function splitLines(value: string, keepEnds: boolean): string[] {
  const lines = keepEnds ? (value.match(new RegExp(`[^]*?(?:${LINES.source})|[^]+$`, 'g')) ?? []) : value.split(LINES);
  if (!keepEnds && lines.at(-1) === '') lines.pop();
  return lines;
}

/** str.format(): {}, {0} and {name}, without conversions. */
function format(value: string, { positional, named }: Arguments, budget: Budget): string {
  let next = 0;
  budget.characters(value.length);
  return value.replace(/\{\{|\}\}|\{(\w*)(![rs])?\}|[{}]/g, (whole, name: string | undefined, conversion?: string) => {
    if (whole === '{{' || whole === '}}') return whole[0]!;
    if (name === undefined)
      throw new JinjaError('of the format strings of format() only {}, {0} and {name} are supported here');
    const given = name === '' ? positional[next++] : /^\d+$/.test(name) ? positional[Number(name)] : named.get(name);
    if (given === undefined) throw new JinjaError(`format() misses the argument for {${name}}`);
    const shown = conversion === '!r' ? repr(given, budget) : str(given, budget);
    budget.characters(shown.length);
    return shown;
  });
}

/** Python's title(): a capital behind everything that is no letter. */
const title = (value: string) => value.replace(/\p{L}[\p{L}\p{M}]*/gu, (word) => capitalize(word));

/** The methods of texts. */
export const STRING_METHODS: Record<string, Method> = {
  capitalize: mapped(capitalize),
  casefold: mapped((value) => value.toLowerCase().replaceAll('ß', 'ss')),
  center: padding('center', 'both'),
  count: (value, args, budget) => {
    const [wanted, from, to] = bind('count', args, ['sub', 'start', 'end'], 1);
    const sub = text("count's argument", wanted);
    budget.characters(value.length);
    const { part } = section(value, from, to);
    return sub === '' ? codePoints(part) + 1 : part.split(sub).length - 1;
  },
  endswith: affix('endswith', (value, part) => value.endsWith(part)),
  find: finding('find', false, false),
  format,
  index: finding('index', false, true),
  isalnum: all('\\p{L}\\p{N}'),
  isalpha: all('\\p{L}'),
  isascii: tested((value) => /^[\0-\x7f]*$/.test(value)),
  isdecimal: all('\\p{Nd}'),
  isdigit: all('\\p{Nd}²³¹⁰⁴-⁹₀-₉'),
  islower: tested((value) => /\p{L}/u.test(value) && value === value.toLowerCase() && value !== value.toUpperCase()),
  isnumeric: all('\\p{N}'),
  isspace: all(SPACE),
  isupper: tested((value) => /\p{L}/u.test(value) && value === value.toUpperCase() && value !== value.toLowerCase()),
  join: (value, args, budget) => join(value, iterate(bind('join', args, ['iterable'], 1)[0]!, budget), budget),
  ljust: padding('ljust', 'right'),
  lower: mapped((value) => value.toLowerCase()),
  lstrip: stripping('lstrip', 'left'),
  partition: parting('partition', false),
  removeprefix: (value, args) => {
    const prefix = text('the prefix', bind('removeprefix', args, ['prefix'], 1)[0]);
    return value.startsWith(prefix) ? value.slice(prefix.length) : value;
  },
  removesuffix: (value, args) => {
    const suffix = text('the suffix', bind('removesuffix', args, ['suffix'], 1)[0]);
    return suffix && value.endsWith(suffix) ? value.slice(0, -suffix.length) : value;
  },
  replace: (value, args, budget) => {
    const [from, to, most] = bind('replace', args, ['old', 'new', 'count'], 2);
    return replace(value, text('old', from), text('new', to), whole('count', most, -1), budget);
  },
  rfind: finding('rfind', true, false),
  rindex: finding('rindex', true, true),
  rjust: padding('rjust', 'left'),
  rpartition: parting('rpartition', true),
  rsplit: splitting('rsplit', true),
  rstrip: stripping('rstrip', 'right'),
  split: splitting('split', false),
  splitlines: (value, args, budget) => {
    const [keepEnds = false] = bind('splitlines', args, ['keepends']);
    budget.characters(value.length);
    const lines = splitLines(value, keepEnds === true);
    budget.items(lines.length);
    return lines;
  },
  startswith: affix('startswith', (value, part) => value.startsWith(part)),
  strip: stripping('strip', 'both'),
  swapcase: mapped((value) =>
    Array.from(value, (c) => (c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase())).join(''),
  ),
  title: mapped(title),
  upper: mapped((value) => value.toUpperCase()),
  zfill: (value, args, budget) => {
    const width = whole("zfill's width", bind('zfill', args, ['width'], 1)[0], 0);
    budget.characters(Math.max(0, width));
    const [, sign, digits] = /^([-+]?)(.*)$/s.exec(value)!;
    return sign + digits!.padStart(width - sign!.length, '0');
  },
};
