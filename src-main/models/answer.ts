import { UserError } from '../engine/types.ts';
import type { CausalLM } from './causal-lm.ts';
import { generate, type GenerateOptions } from './generate.ts';
import { chatPrompt, endsOf, rawPrompt } from './prompt.ts';
import { StreamText } from './stream-text.ts';
import type { Adaptation, ChatMessage, ModelFile } from './types.ts';

/** Who is asked. */
interface Answering {
  file: ModelFile;
  model: CausalLM;
  adapter?: Adaptation;
}

export interface Question extends Omit<GenerateOptions, 'adaptation' | 'stop' | 'alternatives'> {
  prompt: string;
  system?: string;
  /** continue the prompt as it stands, without the chat template */
  raw?: boolean;
}

/** A piece of an answer, and the tokens so far. */
export interface AnswerPiece {
  text: string;
  tokens: number;
}

/** Token ids of a prompt: as training shows a question, or as it stands where it is raw. @throws UserError without a tokenizer */
export function promptIds({ name, tokenizer, chatTemplate }: ModelFile, { prompt, system, raw }: Question): number[] {
  if (!tokenizer) throw new UserError(`${name} has no tokenizer, so it can't read text; add its tokenizer.json`);
  if (raw) return rawPrompt(tokenizer, system ? `${system}\n\n${prompt}` : prompt).ids;
  const messages: ChatMessage[] = [{ role: 'user', content: prompt }];
  if (system) messages.unshift({ role: 'system', content: system });
  return chatPrompt({ tokenizer, template: chatTemplate }, { messages }).ids;
}

/** Answers a prompt, piece by piece. @throws UserError for a prompt that is empty or fills the context */
export async function* answer({ file, model, adapter }: Answering, question: Question): AsyncGenerator<AnswerPiece> {
  const ids = promptIds(file, question);
  const stream = new StreamText(file.tokenizer!);
  const { maxTokens, seed, temperature, topP, topK } = question;
  const stop = endsOf(model.config, file.tokenizer!);
  let tokens = 0;
  for await (const { id } of generate(model, ids, {
    ...{ maxTokens, seed, temperature, topP, topK, stop },
    adaptation: adapter,
  })) {
    const text = stream.push(id);
    tokens++;
    if (text) yield { text, tokens };
  }
  yield { text: stream.end(), tokens };
}
