import { JinjaError } from './budget.ts';
import { setAttribute } from './globals.ts';
import type { Scope } from './scope.ts';
import type { Tokens } from './tokens.ts';
import { iterate, Namespace } from './values.ts';
import type { Value } from './values.ts';

/** What a value is given to: a name, an attribute of a namespace, or several of them. */
export type Target = { name: string; attribute?: string } | { parts: Target[] };

const CONSTANTS = ['true', 'True', 'false', 'False', 'none', 'None'];

/** Reads `a`, `a.b`, or `a, (b, c)`. */
export function parseTarget(tokens: Tokens, several = true): Target {
  const parts: Target[] = [];
  let isTuple = false;
  do {
    if (parts.length > 0 && !tokens.is('name') && !tokens.is('operator', '(')) break;
    parts.push(parseOne(tokens));
  } while (several && tokens.skip('operator', ',') && (isTuple = true));
  return isTuple ? { parts } : parts[0]!;
}

function parseOne(tokens: Tokens): Target {
  if (tokens.skip('operator', '(')) {
    const inner = parseTarget(tokens);
    tokens.expect('operator', ')');
    return inner;
  }
  const name = tokens.expect('name').text;
  if (CONSTANTS.includes(name)) tokens.fail(`can't assign to "${name}"`);
  return tokens.skip('operator', '.') ? { name, attribute: tokens.expect('name').text } : { name };
}

/** @throws JinjaError where the value doesn't fit */
export function assign(target: Target, value: Value, scope: Scope): void {
  if ('parts' in target) {
    const items = iterate(value, scope.run.budget);
    if (items.length !== target.parts.length)
      throw new JinjaError(`${items.length} values can't be given to ${target.parts.length} names`);
    return target.parts.forEach((part, i) => assign(part, items[i]!, scope));
  }
  if (target.attribute === undefined) return scope.set(target.name, value);
  const namespace = scope.get(target.name);
  if (!(namespace instanceof Namespace)) throw new JinjaError('cannot assign attribute on non-namespace object');
  setAttribute(namespace, target.attribute, value);
}
