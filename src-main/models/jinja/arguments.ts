import { JinjaError } from './budget.ts';
import { isInt, typeName, Undefined } from './values.ts';
import type { Arguments, Value } from './values.ts';

/**
 * The arguments of a call by its parameters' names; undefined for those not given.
 * @throws JinjaError for one too many, an unknown one, or one that is missing
 */
export function bind(what: string, { positional, named }: Arguments, parameters: string[], required = 0) {
  if (positional.length > parameters.length)
    throw new JinjaError(`${what}() takes at most ${parameters.length} arguments (${positional.length} given)`);
  const values: (Value | undefined)[] = parameters.map((_, i) => positional[i]);
  for (const [name, value] of named) {
    const at = parameters.indexOf(name);
    if (at < 0) throw new JinjaError(`${what}() got an unexpected keyword argument '${name}'`);
    values[at] = value;
  }
  const missing = values.slice(0, required).indexOf(undefined);
  if (missing >= 0) throw new JinjaError(`${what}() misses its argument '${parameters[missing]}'`);
  return values;
}

export function text(what: string, value: Value | undefined): string {
  if (typeof value === 'string') return value;
  if (value instanceof Undefined) value.fail();
  throw new JinjaError(`${what} must be a str, not ${typeName(value ?? null)}`);
}

export function whole(what: string, value: Value | undefined, otherwise: number): number {
  if (value === undefined) return otherwise;
  if (typeof value === 'boolean' || isInt(value)) return Number(value);
  if (value instanceof Undefined) value.fail();
  throw new JinjaError(`${what} must be a whole number, not ${typeName(value)}`);
}
