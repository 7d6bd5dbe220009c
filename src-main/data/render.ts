import { UserError } from '../engine/types.ts';
import { messageText } from '../models/message-text.ts';
import type { ChatMessage, ChatTemplate, Tokenizer } from '../models/types.ts';
import type { Example } from './types.ts';

/** An example as text, with the character spans [from, to) whose tokens carry loss. */
export interface RenderedText {
  text: string;
  spans: [number, number][];
}

export interface RenderContext {
  tokenizer: Tokenizer;
  template?: ChatTemplate;
  /** which tokens carry loss */
  loss: 'answer' | 'all';
}

/** Where the model of no template stops: its end-of-sequence token's text. */
const endText = (tokenizer: Tokenizer) =>
  tokenizer.eosTokenIds[0] === undefined ? '' : tokenizer.decode([tokenizer.eosTokenIds[0]]);

/**
 * Renders messages with the model's template. An answer's span begins where the template's generation prompt ends and holds the
 * template's end of turn, so that the model learns to stop.
 */
export function renderChat(messages: ChatMessage[], { tokenizer, template }: RenderContext): RenderedText {
  if (!template) return renderPlain(messages, tokenizer);
  const text = template.render(messages);
  const spans: [number, number][] = [];
  messages.forEach((message, index) => {
    if (message.role === 'assistant') spans.push(answerSpan(messages, index, text, template));
  });
  return { text, spans };
}

function answerSpan(messages: ChatMessage[], index: number, text: string, template: ChatTemplate): [number, number] {
  const prompt = template.render(messages.slice(0, index), { addGenerationPrompt: true });
  const upTo = index === messages.length - 1 ? text : template.render(messages.slice(0, index + 1));
  if (upTo.startsWith(prompt) && text.startsWith(upTo)) return [prompt.length, upTo.length];
  // A template that rewrites earlier turns: the answer's own text, found behind the turns before it.
  const before = messages.slice(0, index).reduce((place, message) => {
    const at = text.indexOf(messageText(message).trim(), place);
    return at < 0 ? place : at + messageText(message).trim().length;
  }, 0);
  const answer = messageText(messages[index]!).trim();
  const start = text.indexOf(answer, before);
  if (start < 0)
    throw new UserError(
      'The chat template changes the answers it is given, so their tokens can’t be told; give it a plainer one',
    );
  // The end of turn is what the template writes behind this answer where it is the last.
  const endOfTurn = upTo.slice(upTo.lastIndexOf(answer) + answer.length);
  const end = start + answer.length;
  return [start, text.startsWith(endOfTurn, end) ? end + endOfTurn.length : end];
}

/** Messages for a model without a template: contents, one after the other, each answer closed by the end-of-sequence token. */
function renderPlain(messages: ChatMessage[], tokenizer: Tokenizer): RenderedText {
  const end = endText(tokenizer);
  let text = '';
  const spans: [number, number][] = [];
  for (const message of messages) {
    const content = messageText(message);
    if (message.role === 'assistant') {
      spans.push([text.length, text.length + content.length + end.length]);
      text += `${content}${end}`;
    } else text += `${content}\n`;
  }
  return { text, spans };
}

/** An example as text with its loss spans; undefined for pre-tokenized ones. */
export function renderExample(example: Example, context: RenderContext): RenderedText | undefined {
  if (example.kind === 'tokens') return undefined;
  const end = endText(context.tokenizer);
  let rendered: RenderedText;
  if (example.kind === 'text') {
    const text = `${example.text}${end}`;
    rendered = { text, spans: [[0, text.length]] };
  } else if (example.kind === 'completion') {
    const text = `${example.prompt}${example.completion}${end}`;
    rendered = { text, spans: [[example.prompt.length, text.length]] };
  } else rendered = renderChat(example.messages, context);
  return context.loss === 'all' ? { text: rendered.text, spans: [[0, rendered.text.length]] } : rendered;
}

/** Tokens of a rendered text; `carriesLoss[i]` if token i begins inside a span. */
export function tokenizeRendered(
  { text, spans }: RenderedText,
  tokenizer: Tokenizer,
  addSpecialTokens: boolean,
): { ids: number[]; carriesLoss: boolean[] } {
  const ids = tokenizer.encode(text, { addSpecialTokens });
  const bytesBefore = (characters: number) => Buffer.byteLength(text.slice(0, characters));
  const byteSpans = spans.map(([from, to]) => [bytesBefore(from), bytesBefore(to)] as const);
  const lengths = ids.map((id) => tokenizer.tokenBytes(id).length);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  // Tokens that stand for no text (a leading bos, a dummy space) come first.
  let place = Buffer.byteLength(text) - total;
  if (place > 0) return tokenizeBySpans(text, spans, tokenizer, addSpecialTokens);
  const carriesLoss = lengths.map((length) => {
    const begins = place;
    place += length;
    return byteSpans.some(([from, to]) => begins >= from && begins < to);
  });
  return { ids, carriesLoss };
}

/** For tokenizers that change the text (NFC): the parts inside and outside the spans tokenized each on its own. */
function tokenizeBySpans(text: string, spans: [number, number][], tokenizer: Tokenizer, addSpecialTokens: boolean) {
  const ids: number[] = [];
  const carriesLoss: boolean[] = [];
  const add = (from: number, to: number, loss: boolean) => {
    if (from >= to) return;
    const part = tokenizer.encode(text.slice(from, to), { addSpecialTokens: addSpecialTokens && from === 0 });
    ids.push(...part);
    carriesLoss.push(...part.map(() => loss));
  };
  let place = 0;
  for (const [from, to] of spans) {
    add(place, from, false);
    add(from, to, true);
    place = to;
  }
  add(place, text.length, false);
  return { ids, carriesLoss };
}
