import { UserError } from '../engine/types.ts';
import {
  askedPrompt,
  languageOf,
  type AskedPrompt,
  type Asking,
  type Conversant,
  type GivenPicture,
} from './conversant.ts';
import { generate, type GenerateOptions } from './generate.ts';
import { endsOf } from './prompt.ts';
import { StreamText } from './stream-text.ts';
import type { Adaptation, ChatMessage, ModelFile } from './types.ts';

/** Who is asked. */
interface Answering {
  file: ModelFile;
  model: Conversant;
  adapter?: Adaptation;
}

export interface Question extends Omit<GenerateOptions, 'adaptation' | 'stop' | 'alternatives'> {
  prompt: string;
  system?: string;
  /** continue the prompt as it stands, without the chat template */
  raw?: boolean;
  /** what it is about; they stand before the question */
  pictures?: GivenPicture[];
}

/** A piece of an answer, and the tokens so far. */
export interface AnswerPiece {
  text: string;
  tokens: number;
}

/**
 * A prompt as training shows a question, or as it stands where it is raw.
 * @param adaptation what the answer will be made with
 * @throws UserError without a tokenizer
 */
export function promptOf(
  file: ModelFile,
  model: Conversant,
  question: Question,
  adaptation?: Adaptation,
): Promise<AskedPrompt> {
  const { name, tokenizer, chatTemplate: template } = file;
  const { prompt, system, raw, pictures } = question;
  if (!tokenizer) throw new UserError(`${name} has no tokenizer, so it can't read text; add its tokenizer.json`);
  const asked = (asking: Asking) => askedPrompt(file, model, asking, { adaptation });
  if (raw) return asked({ tokenizer, pictures, raw: system ? `${system}\n\n${prompt}` : prompt });
  const messages: ChatMessage[] = [{ role: 'user', content: prompt }];
  if (system) messages.unshift({ role: 'system', content: system });
  return asked({ tokenizer, template, pictures, messages });
}

/** Answers a prompt, piece by piece. @throws UserError for a prompt that is empty or fills the context */
export async function* answer({ file, model, adapter }: Answering, question: Question): AsyncGenerator<AnswerPiece> {
  const { ids, seen } = await promptOf(file, model, question, adapter);
  const stream = new StreamText(file.tokenizer!);
  const { maxTokens, seed, temperature, topP, topK, products } = question;
  const language = languageOf(model);
  const stop = endsOf(language.config, file.tokenizer!);
  let tokens = 0;
  for await (const { id } of generate(language, ids, {
    ...{ maxTokens, seed, temperature, topP, topK, stop, seen, products },
    adaptation: adapter,
  })) {
    const text = stream.push(id);
    tokens++;
    if (text) yield { text, tokens };
  }
  yield { text: stream.end(), tokens };
}
