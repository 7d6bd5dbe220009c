import vm from 'node:vm';
import { UserError } from '../../engine/types.ts';

/** The longest a tokenizer's own regular expressions may take for a text, in milliseconds, and more for each character. */
const LONGEST = 2000;
const LONGEST_PER_CHARACTER = 0.01;

const context = vm.createContext({ work: () => {} });
const script = new vm.Script('work()');

/**
 * Runs `work` on a text of so many characters, but not without end: a regular expression that came with a model can take for ever on some texts, and only a
 * context of its own can be stopped in the middle of one.
 * @throws UserError when the time is up; what `work` throws
 */
export function bounded<T>(characters: number, work: () => T): T {
  const timeout = LONGEST + Math.ceil(LONGEST_PER_CHARACTER * characters);
  let result: { value: T } | { error: unknown } | undefined;
  context.work = () => {
    try {
      result = { value: work() };
    } catch (error) {
      result = { error };
    }
  };
  try {
    script.runInContext(context, { timeout });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT')
      throw new UserError(
        `the tokenizer's regular expressions take more than ${(timeout / 1000).toFixed(1)} s for a text of ${characters} characters; use a tokenizer.json from another source`,
      );
    throw error;
  }
  if (!result) throw new Error('nothing was run');
  if ('error' in result) throw result.error;
  return result.value;
}
