import fs from 'node:fs/promises';
import path from 'node:path';
import { readRows } from '../../src-main/data/formats/rows.ts';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import { tokensOf } from './commonsense-data.ts';

/** The mix of the quality benchmark: kinds of task on which methods differ. */
export const SETS = ['math-word', 'arc-open', 'boolq'];
const EXAMPLES = { train: 1500, test: 120 };

/**
 * Writes the first examples of each set, tokenized, as `<set>.train.jsonl` and `<set>.test.jsonl` into `folder`. The turns are
 * ChatML without the system prompt that the model's own template adds, and the labels are the answer with its end of turn, so
 * that the losses stand beside PyTorch's, which were measured on these tokens.
 */
export async function writeTokenized(model: string, source: string, folder: string): Promise<void> {
  const file = await openTextModel(await resolveModel(model));
  const encode = (text: string) => file.tokenizer!.encode(text, { addSpecialTokens: false });
  await fs.mkdir(folder, { recursive: true });
  for (const set of SETS)
    for (const part of ['train', 'test'] as const) {
      const { rows } = await readRows(path.join(source, `${set}.${part}.jsonl`));
      const lines = rows.slice(0, EXAMPLES[part]).map(({ fields: { instruction, output } }) => {
        const { inputIds, labels } = tokensOf(encode, String(instruction), String(output));
        return JSON.stringify({ input_ids: inputIds, labels });
      });
      await fs.writeFile(path.join(folder, `${set}.${part}.jsonl`), `${lines.join('\n')}\n`);
    }
  await file.close();
}
