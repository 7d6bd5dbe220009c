import { plainChat } from './plain-chat.ts';
import { placed } from './template-place.ts';
import type { ChatTemplate, Conversation, ModelConfig, Tokenizer } from './types.ts';

/** What a model is asked, as text and as tokens. */
export interface Prompt {
  text: string;
  ids: number[];
}

/** The text of the token that ends a text where no template says otherwise. */
export const endText = (tokenizer: Tokenizer): string =>
  tokenizer.eosTokenIds[0] === undefined ? '' : tokenizer.decode([tokenizer.eosTokenIds[0]]);

/** The tokens that end an answer: the model's, and its template's end of turn. */
export const endsOf = (config: ModelConfig, tokenizer: Tokenizer): number[] => [
  ...new Set([...config.eosTokenIds, ...tokenizer.eosTokenIds]),
];

/** A text to go on with, as it stands: what the tokenizer puts behind a text would end it. */
export function rawPrompt(tokenizer: Tokenizer, text: string): Prompt {
  const { ids, offsets } = tokenizer.encodeWithOffsets(text, { addSpecialTokens: true });
  let end = ids.length;
  while (end > 0 && text !== '' && offsets[end - 1]!.every((place) => place === text.length)) end--;
  return { text, ids: ids.slice(0, end) };
}

/**
 * A conversation that the model is to go on with, exactly as training shows it: by its template, else line by line.
 * @throws UserError when the template refuses it
 */
export function chatPrompt(
  { tokenizer, template }: { tokenizer: Tokenizer; template?: ChatTemplate },
  conversation: Conversation,
): Prompt {
  const { tools, documents } = conversation;
  if (!template) return rawPrompt(tokenizer, plainChat(conversation, endText(tokenizer)).text);
  const { template: used, messages } = placed(conversation, template);
  const text = used.render(messages, { tools, documents, addGenerationPrompt: true });
  // A template writes its own special tokens.
  return { text, ids: tokenizer.encode(text) };
}
