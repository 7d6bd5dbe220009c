import { UserError } from '../engine/types.ts';
import type { ChatTemplate, Tokenizer } from './types.ts';

const ANSWER = '\ue000answer\ue001';

/** What a template writes behind an answer that ends the conversation; undefined where it doesn't write one as it is. */
function behindAnswer(template: ChatTemplate): string | undefined {
  const turns = [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: ANSWER },
  ];
  try {
    const text = template.render(turns);
    const at = text.lastIndexOf(ANSWER);
    return at < 0 ? undefined : text.slice(at + ANSWER.length);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/**
 * The token that a template ends an answer with, found by rendering one: the first special token behind it. Where it isn't the
 * model's end-of-sequence token, only this one tells that an answer is over.
 */
function endOfTurn(template: ChatTemplate, tokenizer: Tokenizer): number | undefined {
  return tokenizer
    .encode(behindAnswer(template) ?? '')
    .find((id) => tokenizer.decode([id], { skipSpecialTokens: true }) === '' && tokenizer.decode([id]).trim() !== '');
}

/** The tokenizer with the template's end of turn among the tokens that end a text. */
export function endingTurns(tokenizer: Tokenizer, template: ChatTemplate | undefined): Tokenizer {
  const end = template && endOfTurn(template, tokenizer);
  if (end === undefined || tokenizer.eosTokenIds.includes(end)) return tokenizer;
  return { ...tokenizer, eosTokenIds: [...tokenizer.eosTokenIds, end] };
}
