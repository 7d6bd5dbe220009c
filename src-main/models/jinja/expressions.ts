import { binary, signed } from './arithmetic.ts';
import { getAttribute, getItem, slice } from './attributes.ts';
import { JinjaError } from './budget.ts';
import { compare, contains, equals } from './compare.ts';
import { filterNamed } from './filters.ts';
import type { Expression, Scope } from './scope.ts';
import { TESTS } from './tests.ts';
import { str } from './text.ts';
import type { Tokens } from './tokens.ts';
import { Attributes, Callable, Dict, Float, iterate, Tuple, truthy, typeName, Undefined } from './values.ts';
import type { Arguments, Value } from './values.ts';

const COMPARISONS = ['==', '!=', '<', '<=', '>', '>='];

/** Reads an expression; without `conditional`, `if` ends it. */
export function parseExpression(tokens: Tokens, conditional = true): Expression {
  let value = parseOr(tokens);
  while (conditional && tokens.skip('name', 'if')) {
    const [test, yes] = [parseOr(tokens), value];
    const no = tokens.skip('name', 'else') ? parseExpression(tokens) : undefined;
    const missing = new Undefined('the inline if-expression evaluated to false and no else section was defined');
    value = (scope) => (truthy(test(scope)) ? yes(scope) : no ? no(scope) : missing);
  }
  return value;
}

function parseOr(tokens: Tokens): Expression {
  let left = parseAnd(tokens);
  while (tokens.skip('name', 'or')) {
    const [a, b] = [left, parseAnd(tokens)];
    left = (scope) => {
      const value = a(scope);
      return truthy(value) ? value : b(scope);
    };
  }
  return left;
}

function parseAnd(tokens: Tokens): Expression {
  let left = parseNot(tokens);
  while (tokens.skip('name', 'and')) {
    const [a, b] = [left, parseNot(tokens)];
    left = (scope) => {
      const value = a(scope);
      return truthy(value) ? b(scope) : value;
    };
  }
  return left;
}

function parseNot(tokens: Tokens): Expression {
  if (!tokens.skip('name', 'not')) return parseComparison(tokens);
  const value = parseNot(tokens);
  return (scope) => !truthy(value(scope));
}

function comparison(tokens: Tokens): string | undefined {
  const sign = tokens.skip('operator', ...COMPARISONS) ?? tokens.skip('name', 'in');
  if (sign) return sign.text;
  if (!tokens.is('name', 'not') || tokens.ahead.kind !== 'name' || tokens.ahead.text !== 'in') return undefined;
  tokens.next();
  tokens.next();
  return 'not in';
}

function holds(operator: string, a: Value, b: Value, { run: { budget } }: Scope): boolean {
  switch (operator) {
    case '==':
      return equals(a, b, budget);
    case '!=':
      return !equals(a, b, budget);
    case 'in':
      return contains(b, a, budget);
    case 'not in':
      return !contains(b, a, budget);
  }
  const order = compare(a, b, operator, budget);
  return operator === '<' ? order < 0 : operator === '<=' ? order <= 0 : operator === '>' ? order > 0 : order >= 0;
}

function parseComparison(tokens: Tokens): Expression {
  const first = parseBinary(tokens, 0);
  const rest: { operator: string; operand: Expression }[] = [];
  for (let operator = comparison(tokens); operator !== undefined; operator = comparison(tokens))
    rest.push({ operator, operand: parseBinary(tokens, 0) });
  if (rest.length === 0) return first;
  return (scope) => {
    let left = first(scope);
    for (const { operator, operand } of rest) {
      const right = operand(scope);
      if (!holds(operator, left, right, scope)) return false;
      left = right;
    }
    return true;
  };
}

/** Operators that stand between two values, the loosest first; all of them go from left to right, also the power. */
const LEVELS = [['+', '-'], ['~'], ['*', '/', '//', '%'], ['**']];

function parseBinary(tokens: Tokens, level: number): Expression {
  if (level === LEVELS.length) return parseUnary(tokens, true);
  let left = parseBinary(tokens, level + 1);
  for (let sign = tokens.skip('operator', ...LEVELS[level]!); sign; sign = tokens.skip('operator', ...LEVELS[level]!)) {
    const [operator, a, b] = [sign.text, left, parseBinary(tokens, level + 1)];
    left = operator === '~' ? concatenated(a, b) : (scope) => binary(operator, a(scope), b(scope), scope.run.budget);
  }
  return left;
}

const concatenated =
  (a: Expression, b: Expression): Expression =>
  (scope) => {
    const { budget } = scope.run;
    const text = str(a(scope), budget) + str(b(scope), budget);
    budget.characters(text.length);
    return text;
  };

function parseUnary(tokens: Tokens, withFilters: boolean): Expression {
  const sign = tokens.skip('operator', '-', '+')?.text as '-' | '+' | undefined;
  let value: Expression;
  if (sign) {
    const inner = parseUnary(tokens, false);
    value = (scope) => signed(sign, inner(scope));
  } else value = parsePrimary(tokens);
  value = parsePostfix(tokens, value);
  return withFilters ? parseFilters(tokens, value) : value;
}

const CONSTANTS: Record<string, Value> = { true: true, True: true, false: false, False: false, none: null, None: null };

function parsePrimary(tokens: Tokens): Expression {
  const { kind, text } = tokens.current;
  if (kind === 'operator' && text === '(') {
    tokens.next();
    const inner = parseTuple(tokens, { empty: true });
    tokens.expect('operator', ')');
    return inner;
  }
  if (kind === 'operator' && text === '[') return parseList(tokens);
  if (kind === 'operator' && text === '{') return parseDict(tokens);
  if (kind === 'name') {
    tokens.next();
    if (Object.hasOwn(CONSTANTS, text)) return () => CONSTANTS[text]!;
    return (scope) => {
      scope.run.budget.spend(1);
      return scope.get(text);
    };
  }
  if (kind !== 'string' && kind !== 'integer' && kind !== 'float') return tokens.fail('expected an expression');
  tokens.next();
  if (kind !== 'string') {
    const number = numberOf(kind, text.replaceAll('_', ''));
    return () => number;
  }
  let whole = text;
  for (let more = tokens.skip('string'); more; more = tokens.skip('string')) whole += more.text;
  return () => whole;
}

function numberOf(kind: 'integer' | 'float', digits: string): Value {
  if (kind === 'float') return new Float(Number(digits));
  if (digits.length > 4_300) throw new JinjaError('a number has too many digits');
  return Number.isSafeInteger(Number(digits)) ? Number(digits) : BigInt(digits);
}

/** One expression, or several with commas between: a tuple. `until` names what ends it. */
export function parseTuple(tokens: Tokens, { empty = false, conditional = true } = {}): Expression {
  const items: Expression[] = [];
  let isTuple = false;
  const ended = () => tokens.is('variableEnd') || tokens.is('blockEnd') || tokens.is('operator', ')');
  while (!ended()) {
    items.push(parseExpression(tokens, conditional));
    if (!tokens.skip('operator', ',')) break;
    isTuple = true;
  }
  if (!isTuple && items.length === 1) return items[0]!;
  if (items.length === 0 && !empty) tokens.fail('expected an expression');
  return (scope) => {
    scope.run.budget.items(items.length);
    return new Tuple(items.map((item) => item(scope)));
  };
}

/** What stands between a bracket that was opened and its end, with commas between. */
function listed<T>(tokens: Tokens, close: string, parse: () => T): T[] {
  tokens.next();
  const items: T[] = [];
  while (!tokens.is('operator', close)) {
    items.push(parse());
    if (!tokens.skip('operator', ',')) break;
  }
  tokens.expect('operator', close);
  return items;
}

function parseList(tokens: Tokens): Expression {
  const items = listed(tokens, ']', () => parseExpression(tokens));
  return (scope) => {
    scope.run.budget.items(items.length);
    return items.map((item) => item(scope));
  };
}

function parseDict(tokens: Tokens): Expression {
  const entries = listed(tokens, '}', () => {
    const key = parseExpression(tokens);
    tokens.expect('operator', ':');
    return [key, parseExpression(tokens)] as const;
  });
  return (scope) => {
    scope.run.budget.items(entries.length * 4);
    return new Dict(entries.map(([key, value]) => [key(scope), value(scope)] as const));
  };
}

function parsePostfix(tokens: Tokens, value: Expression): Expression {
  for (;;) {
    if (tokens.is('operator', '.')) value = parseDot(tokens, value);
    else if (tokens.is('operator', '[')) value = parseSubscript(tokens, value);
    else if (tokens.is('operator', '(')) value = parseCall(tokens, value);
    else return value;
  }
}

function parseDot(tokens: Tokens, value: Expression): Expression {
  tokens.next();
  const name = tokens.skip('name');
  if (name) return (scope) => getAttribute(value(scope), name.text);
  const index = Number(tokens.expect('integer').text);
  return (scope) => getItem(value(scope), index, scope.run.budget);
}

function parseSubscript(tokens: Tokens, value: Expression): Expression {
  tokens.next();
  const parts: (Expression | undefined)[] = [];
  let colons = 0;
  while (!tokens.is('operator', ']')) {
    if (tokens.skip('operator', ':')) colons++;
    else if (parts[colons] || colons > 2) tokens.fail('expected ]');
    else parts[colons] = parseTuple1(tokens);
  }
  tokens.next();
  if (colons > 2 || (colons === 0 && !parts[0])) tokens.fail('expected an index');
  if (colons === 0) return (scope) => getItem(value(scope), parts[0]!(scope), scope.run.budget);
  return (scope) =>
    slice(
      value(scope),
      [0, 1, 2].map((i) => parts[i]?.(scope)),
      scope.run.budget,
    );
}

/** One index; several with commas are refused: nothing that templates see is read so. */
function parseTuple1(tokens: Tokens): Expression {
  const index = parseExpression(tokens);
  if (tokens.is('operator', ',')) tokens.fail('one index alone is read');
  return index;
}

export function parseCall(tokens: Tokens, callee: Expression): Expression {
  const args = parseArguments(tokens);
  return (scope) => call(callee(scope), args(scope), scope);
}

/** @throws JinjaError for what can't be called */
export function call(callee: Value, args: Arguments, { run: { budget } }: Scope): Value {
  budget.spend(8);
  if (callee instanceof Undefined) callee.fail();
  if (callee instanceof Callable) return callee.call(args, budget);
  if (callee instanceof Attributes && callee.call) return callee.call(args, budget);
  throw new JinjaError(`'${typeName(callee)}' object is not callable`);
}

/** A call's arguments in their parentheses: `a, b=c, *d, **e`. */
export function parseArguments(tokens: Tokens): (scope: Scope) => Arguments {
  const positional: { value: Expression; spread: boolean }[] = [];
  const named: { name?: string; value: Expression }[] = [];
  listed(tokens, ')', () => {
    if (tokens.skip('operator', '**')) return named.push({ value: parseExpression(tokens) });
    if (tokens.skip('operator', '*')) return positional.push({ value: parseExpression(tokens), spread: true });
    if (tokens.is('name') && tokens.ahead.kind === 'operator' && tokens.ahead.text === '=') {
      const name = tokens.next().text;
      tokens.next();
      return named.push({ name, value: parseExpression(tokens) });
    }
    if (named.length > 0) tokens.fail('an argument without a name stands behind one with a name');
    return positional.push({ value: parseExpression(tokens), spread: false });
  });
  return (scope) => {
    const given: Arguments = { positional: [], named: new Map() };
    for (const { value, spread } of positional) {
      if (spread) given.positional.push(...iterate(value(scope), scope.run.budget));
      else given.positional.push(value(scope));
    }
    for (const { name, value } of named) {
      const found = value(scope);
      if (name !== undefined) given.named.set(name, found);
      else if (found instanceof Dict) for (const [key, item] of found.map) given.named.set(String(key), item);
      else throw new JinjaError(`argument after ** must be a mapping, not ${typeName(found)}`);
    }
    return given;
  };
}

const NO_ARGUMENTS = (): Arguments => ({ positional: [], named: new Map() });

/** Filters and tests behind a value. */
function parseFilters(tokens: Tokens, value: Expression): Expression {
  for (;;) {
    if (tokens.is('operator', '|')) value = parseFilter(tokens, value);
    else if (tokens.is('name', 'is')) value = parseTest(tokens, value);
    else if (tokens.is('operator', '(')) value = parseCall(tokens, value);
    else return value;
  }
}

/** A filter with its name next, or with the | before it. */
export function parseFilter(tokens: Tokens, value: Expression): Expression {
  tokens.skip('operator', '|');
  const name = tokens.expect('name').text;
  const args = tokens.is('operator', '(') ? parseArguments(tokens) : NO_ARGUMENTS;
  return (scope) => {
    scope.run.budget.spend(1);
    return filterNamed(name)(value(scope), args(scope), scope.run.budget);
  };
}

function parseTest(tokens: Tokens, value: Expression): Expression {
  tokens.next();
  const negated = tokens.skip('name', 'not') !== undefined;
  const name = tokens.expect('name').text;
  let args: (scope: Scope) => Arguments = NO_ARGUMENTS;
  const operand =
    ['name', 'string', 'integer', 'float'].includes(tokens.current.kind) || tokens.is('operator', '[', '{');
  if (tokens.is('operator', '(')) args = parseArguments(tokens);
  else if (operand && !tokens.is('name', 'else', 'or', 'and')) {
    if (tokens.is('name', 'is')) tokens.fail('tests with is can’t be chained');
    const other = parsePostfix(tokens, parsePrimary(tokens));
    args = (scope) => ({ positional: [other(scope)], named: new Map() });
  }
  return (scope) => {
    const test = Object.hasOwn(TESTS, name) ? TESTS[name] : undefined;
    if (!test) throw new JinjaError(`No test named '${name}' that chat templates can use here`);
    return test(value(scope), args(scope), scope.run.budget) !== negated;
  };
}
