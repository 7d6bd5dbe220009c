import { OPTION_LETTERS } from './columns.ts';
import { isPresent, parsedIfText, RowRefusal } from './field-text.ts';
import { isObject } from './formats/source.ts';

/**
 * What several people answered to the same question (VizWiz's and VQA's `answers`: texts, or objects with an `answer`), the one that
 * most of them gave first; undefined where there are no two.
 */
export function answersOf(value: unknown): string[] | undefined {
  const list = parsedIfText(value);
  if (!Array.isArray(list) || list.length < 2) return undefined;
  const answers = list.map((one: unknown) => (isObject(one) ? one.answer : one));
  if (!answers.every((one): one is string => typeof one === 'string' && one.trim() !== '')) return undefined;
  const count = (answer: string) => answers.filter((other) => other === answer).length;
  const most = answers.reduce((best, answer) => (count(answer) > count(best) ? answer : best));
  return [most, ...answers.toSpliced(answers.indexOf(most), 1)];
}

/**
 * A question whose options stand in columns of their own, A to E, and whose answer is the right one's letter (MMBench's form, arXiv
 * 2307.06281): the question with the options below, and the letters to choose from. Undefined where there are no such columns.
 */
export function withOptions(
  fields: { value(field: string): unknown; text(field: string): string },
  asked: string,
): { asked: string; answer: string; options: string[] } | undefined {
  const given = OPTION_LETTERS.flatMap((letter) => {
    const text = isPresent(fields.value(letter)) ? fields.text(letter).trim() : '';
    // How pandas writes an option that isn't there.
    return text === '' || text === 'nan' ? [] : [{ letter, text }];
  });
  if (given.length < 2) return undefined;
  const written = (fields.text('answer') || fields.text('output')).trim();
  const right = given.find(({ letter, text }) => written === letter || written === text);
  if (!right)
    throw new RowRefusal(`its answer is "${written.slice(0, 40)}", and its options are ${given.map(({ letter }) => letter).join(', ')}`); // prettier-ignore
  const lines = given.map(({ letter, text }) => `${letter}. ${text}`);
  return {
    asked: [asked, ...lines, 'Answer with the letter of the right option.'].join('\n'),
    ...{ answer: right.letter, options: given.map(({ letter }) => letter as string) },
  };
}
