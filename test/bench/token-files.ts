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

/** What stands before a question, between it and its answer, and behind that. */
export type Turns = readonly [string, string, string];
/** ChatML without the system prompt that a model's own template adds. */
export const CHAT_ML: Turns = ['<|im_start|>user\n', '<|im_end|>\n<|im_start|>assistant\n', '<|im_end|>\n'];
export const GEMMA_TURNS: Turns = [
  '<bos><start_of_turn>user\n',
  '<end_of_turn>\n<start_of_turn>model\n',
  '<end_of_turn>\n',
];

/** A turn each; labels are the answer with its end of turn. */
export function tokensOf(encode: Encode, question: string, answer: string, turns = CHAT_ML) {
  const prompt = encode(`${turns[0]}${question}${turns[1]}`);
  const told = encode(`${answer}${turns[2]}`);
  return { inputIds: [...prompt, ...told], labels: [...prompt.map(() => -100), ...told] };
}

/** One example a line. */
export async function writeTokens(
  file: string,
  encode: Encode,
  examples: (readonly [string, string])[],
  turns = CHAT_ML,
): Promise<void> {
  const lines = examples.map(([question, answer]) => {
    const { inputIds, labels } = tokensOf(encode, question, answer, turns);
    return JSON.stringify({ input_ids: inputIds, labels });
  });
  await fs.mkdir(path.dirname(file), { recursive: true });
  await fs.writeFile(file, `${lines.join('\n')}\n`);
}
