import path from 'node:path';
import { readRows } from '../../src-main/data/formats/rows.ts';
import { CHAT_ML, encoderOf, writeTokens } from './token-files.ts';

/** The mix of the quality benchmark: kinds of task on which methods differ. */
export const SETS = ['math-word', 'arc-open', 'boolq'];
const EXAMPLES = { train: 1500, test: 120 };

/** Rows of `<set>.<part>.jsonl` that become one file of tokens. */
export interface Slice {
  /** without `.jsonl` */
  name: string;
  set: string;
  part: 'train' | 'test';
  /** the first one, of those that `longest` leaves */
  from: number;
  count: number;
  /** characters of question and answer, at most */
  longest?: number;
}

/** The quality benchmark's. */
export const QUALITY_SLICES: Slice[] = SETS.flatMap((set) =>
  (['train', 'test'] as const).map((part) => ({ name: `${set}.${part}`, set, part, from: 0, count: EXAMPLES[part] })),
);

/**
 * Writes rows, tokenized, as `<name>.jsonl` into `folder`. The labels are the answer with its end of turn, so that the losses stand
 * beside PyTorch's, which were measured on these tokens.
 */
export async function writeTokenized(
  model: string,
  source: string,
  folder: string,
  slices: Slice[],
  turns = CHAT_ML,
): Promise<void> {
  const { encode, close } = await encoderOf(model);
  for (const { name, set, part, from, count, longest = Infinity } of slices) {
    const { rows } = await readRows(path.join(source, `${set}.${part}.jsonl`));
    const texts = rows.map(({ fields: { instruction, output } }) => [String(instruction), String(output)] as const);
    const chosen = texts.filter(([question, answer]) => question.length + answer.length <= longest);
    if (chosen.length < from + count)
      throw new Error(`${set}.${part}.jsonl has ${chosen.length} rows for ${name}, which takes ${from + count}`);
    await writeTokens(path.join(folder, `${name}.jsonl`), encode, chosen.slice(from, from + count), turns);
  }
  await close();
}
