// Questions with options to choose from, as the commonsense table learns and is measured on them.
import path from 'node:path';
import { readRows } from '../../src-main/data/formats/rows.ts';

/** A question, what may answer it, and which of that is right. */
export interface Question {
  question: string;
  options: string[];
  right: number;
}

/** Sets of the eight of the method's paper that are at hand, with how many questions of each are learned from and measured on. */
export const SETS = {
  'arc-easy': { train: 900, test: 120 },
  'arc-challenge': { train: 450, test: 120 },
  boolq: { train: 900, test: 120 },
} as const;
export type SetName = keyof typeof SETS;

const ASKED = 'Please choose the correct answer to the question: ';
const YES_OR_NO = 'Please answer the following question with true or false, question: ';
const FORMAT = '\n\nAnswer format: ';

/** The first questions of `<set>.<part>.jsonl`. @throws Error naming the row that has not the sets' form */
export async function readQuestions(folder: string, set: SetName, part: 'train' | 'test'): Promise<Question[]> {
  const file = path.join(folder, `${set}.${part}.jsonl`);
  const { rows } = await readRows(file);
  return rows.slice(0, SETS[set][part]).map(({ row, fields }) => {
    const found = questionOf(String(fields['instruction']), String(fields['answer']));
    if (!found)
      throw new Error(`${file}, row ${row}: not a question with options in the form of the eight commonsense sets`);
    return found;
  });
}

/**
 * The question without its list of options: the answer is told by its words, not by its number, on which a model of 135 million parameters
 * stays at chance.
 */
export function questionOf(instruction: string, answer: string): Question | undefined {
  const [text = '', format = ''] = instruction.split(FORMAT);
  const names = format.split('/');
  const right = names.indexOf(answer);
  if (right < 0) return undefined;
  if (text.startsWith(YES_OR_NO)) return { question: text.slice(YES_OR_NO.length), options: names, right };
  const [asked = '', ...options] = text.split(/\s*Answer\d+: /);
  if (!asked.startsWith(ASKED) || options.length !== names.length) return undefined;
  return { question: asked.slice(ASKED.length).trim(), options: options.map((option) => option.trim()), right };
}
