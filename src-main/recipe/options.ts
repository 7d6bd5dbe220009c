import { z } from 'zod';
import { nearest } from '../engine/nearest.ts';
import { UserError } from '../engine/types.ts';
import { recipeSchema } from './recipe.ts';

/** Every option of a recipe by its dotted key, e.g. `method.reducer.ratio`, with what it may be. */
const OPTIONS = new Map(optionsIn(recipeSchema, ''));

function optionsIn(schema: z.ZodType, prefix: string): [string, z.ZodType][] {
  const bare = unwrapped(schema);
  if (!(bare instanceof z.ZodObject)) return [[prefix, schema]];
  return Object.entries(bare.shape as Record<string, z.ZodType>).flatMap(([key, inner]) =>
    optionsIn(inner, prefix ? `${prefix}.${key}` : key),
  );
}

/** Without defaults and the leave to be missing. */
function unwrapped(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional)
    return unwrapped(schema.unwrap() as z.ZodType);
  return schema;
}

/**
 * Sets options in a recipe by their dotted keys.
 * @returns a recipe of its own
 * @throws UserError for a key that no recipe has, or a value that its option can't take
 */
export function withOptions<Whole extends object>(recipe: Whole, options: Record<string, unknown>): Whole {
  const whole = structuredClone(recipe);
  for (const [key, value] of Object.entries(options)) {
    checkOption(key, value);
    const path = key.split('.');
    const last = path.pop()!;
    const holder = path.reduce((at, part) => (at[part] ??= {}) as Record<string, unknown>, whole as Record<string, unknown>); // prettier-ignore
    holder[last] = value;
  }
  return whole;
}

/** @throws UserError */
export function checkOption(key: string, value: unknown): void {
  const schema = OPTIONS.get(key);
  if (!schema)
    throw new UserError(`A recipe has no option "${key.slice(0, 80)}"; did you mean "${nearest(key, [...OPTIONS.keys()])}"?`); // prettier-ignore
  const parsed = schema.safeParse(value);
  if (parsed.success) return;
  const written = JSON.stringify(value)?.slice(0, 80);
  throw new UserError(`${key} can't be ${written} (${parsed.error.issues[0]!.message}).`);
}
