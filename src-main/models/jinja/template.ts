import { Budget, JinjaError } from './budget.ts';
import { globals } from './globals.ts';
import { Output, Scope } from './scope.ts';
import { parseBody } from './statements.ts';
import { Tokens } from './tokens.ts';
import { fromJson } from './values.ts';

export interface Rendering {
  text: string;
  /** the parts that stand in {% generation %} blocks, as places in the text */
  generated: [from: number, to: number][];
}

/** Renders with what a template is given: values as JSON has them. @throws JinjaError */
export type Template = (given: Record<string, unknown>, now: Date) => Rendering;

/** Longest source that is read, in characters: the longest templates of models have some 20,000. */
const LONGEST_SOURCE = 1_000_000;

/** Stacks end in a RangeError, as do texts that no string can hold; both are the template's doing. */
function withoutOverflow<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof RangeError) throw new JinjaError('it nests too deep or grows too large');
    throw error;
  }
}

/** Characters of what a template is given, about. */
function characters(value: unknown): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null) return 8;
  return Object.entries(value).reduce((sum, [key, item]) => sum + key.length + characters(item), 8);
}

/**
 * Reads a chat template: Jinja2 as transformers sets it up (trim_blocks, lstrip_blocks, loop controls, generation blocks, an
 * immutable sandbox).
 * @throws JinjaError when it is no valid Jinja
 */
export function compile(source: string): Template {
  if (source.length > LONGEST_SOURCE)
    throw new JinjaError(`it has ${source.length} characters (${LONGEST_SOURCE} at most)`);
  const body = withoutOverflow(() => parseBody(new Tokens(source)));
  return (given, now) =>
    withoutOverflow(() => {
      const output = new Output();
      const run = { budget: new Budget(characters(given)), output, generated: [] };
      const scope = new Scope(run);
      for (const [name, value] of globals(now)) scope.set(name, value);
      for (const [name, value] of Object.entries(given)) if (value !== undefined) scope.set(name, fromJson(value));
      if (body(scope.inner(), output)) throw new JinjaError('break and continue stand outside of a loop');
      return { text: output.text, generated: run.generated };
    });
}
