/** What a template does wrong, or may not do: a fault of the template, never of the program. */
export class JinjaError extends Error {}

/** Steps a template may take besides those that its input's size allows: some tenths of a second. */
const STEPS = 4_000_000;
/** Steps for each character of the input: a template may copy it a few dozen times. */
const STEPS_A_CHARACTER = 16;
/** Characters that cost one step. */
const CHARACTERS_A_STEP = 8;
/** Steps for one item of a list that is made: lists hold 8 bytes an item. */
const STEPS_AN_ITEM = 2;

/**
 * The bound of one rendering, in time and memory: every step of a template, every character and every list item that it makes
 * costs some of it. Counted, not timed, so that a row renders on a slow machine if it does on a fast one.
 */
export class Budget {
  #left: number;

  constructor(inputCharacters: number) {
    this.#left = STEPS + STEPS_A_CHARACTER * inputCharacters;
  }

  /** @throws JinjaError when nothing is left */
  spend(steps: number): void {
    this.#left -= steps;
    if (!(this.#left >= 0)) throw new JinjaError('it makes too many steps or too much text for what it was given');
  }

  /** For text of so many characters, before it is made or read. */
  characters(count: number): void {
    this.spend(1 + count / CHARACTERS_A_STEP);
  }

  /** For a list of so many items, before it is made or read. */
  items(count: number): void {
    this.spend(1 + count * STEPS_AN_ITEM);
  }
}
