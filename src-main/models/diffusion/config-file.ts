import { z } from 'zod';
import { UserError } from '../../engine/types.ts';
import { readJsonFile } from '../json-file.ts';

const MOST_CONFIG_BYTES = 16 << 20;

/** A whole number that memory is taken by. */
export const count = z
  .number()
  .int()
  .positive()
  .max(1 << 20);
export const few = count.max(1000);

/**
 * Reads a part's config.json. Fields that are null count as left out, such that begin with `_` are notes.
 * @param schema the fields that matter, with what diffusers or transformers takes where the file is silent
 * @param only what the fields have to be that are known and have no choice here
 * @throws UserError naming file, field and value, also of a field that is not known and says something
 */
export async function readConfig<S extends z.ZodObject>(
  file: string,
  schema: S,
  only: Record<string, unknown[]>,
): Promise<z.infer<S>> {
  return checkedConfig(await readJsonFile(file, MOST_CONFIG_BYTES), file, schema, only);
}

export function checkedConfig<S extends z.ZodObject>(
  json: unknown,
  file: string,
  schema: S,
  only: Record<string, unknown[]>,
): z.infer<S> {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new UserError(`${file} is no configuration; fetch it again`);
  const fields = Object.entries(json).filter(([name, value]) => value !== null && !name.startsWith('_'));
  for (const [name, value] of fields) {
    if (name in schema.shape) continue;
    const supported = only[name] ?? [false];
    if (supported !== ANYTHING && !supported.some((one) => JSON.stringify(one) === JSON.stringify(value)))
      throw notSupported(file, name, value, only[name]);
  }
  const parsed = schema.safeParse(Object.fromEntries(fields));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new UserError(`${file}: the field "${issue.path.join('.')}" is not usable (${issue.message})`);
}

/** What says nothing of the numbers that come out. */
export const ANYTHING: unknown[] = [];

export function notSupported(file: string, name: string, value: unknown, supported?: unknown[]): UserError {
  const only = supported && supported.length > 0 ? `; supported is ${supported.map((one) => JSON.stringify(one)).join(', ')}` : ''; // prettier-ignore
  return new UserError(`${file}: "${name.slice(0, 80)}" is ${JSON.stringify(value).slice(0, 200)}, which is not supported${only}`); // prettier-ignore
}
