// Questions and answers as files of tokens, which runs of a study learn from and are measured on.
import fs from 'node:fs/promises';
import path from 'node:path';
import type { Tokenizer } from '../../src-main/models/types.ts';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';

export type Encode = (text: string) => number[];

export const encodeBy =
  (tokenizer: Tokenizer): Encode =>
  (text) =>
    tokenizer.encode(text, { addSpecialTokens: false });

/** A model's tokenizer alone. */
export async function encoderOf(model: string): Promise<{ encode: Encode; close(): Promise<void> }> {
  const file = await openTextModel(await resolveModel(model));
  return { encode: encodeBy(file.tokenizer!), close: () => file.close() };
}

/** A turn each, in ChatML without the system prompt that the model's own template adds; labels are the answer with its end of turn. */
export function tokensOf(encode: Encode, question: string, answer: string) {
  const prompt = encode(`<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`);
  const told = encode(`${answer}<|im_end|>\n`);
  return { inputIds: [...prompt, ...told], labels: [...prompt.map(() => -100), ...told] };
}

/** One example a line. */
export async function writeTokens(file: string, encode: Encode, turns: (readonly [string, string])[]): Promise<void> {
  const lines = turns.map(([question, answer]) => {
    const { inputIds, labels } = tokensOf(encode, question, answer);
    return JSON.stringify({ input_ids: inputIds, labels });
  });
  await fs.mkdir(path.dirname(file), { recursive: true });
  await fs.writeFile(file, `${lines.join('\n')}\n`);
}
