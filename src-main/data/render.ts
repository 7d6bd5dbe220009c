import { plainChat } from '../models/plain-chat.ts';
import { endText } from '../models/prompt.ts';
import { placed } from '../models/template-place.ts';
import type { ChatTemplate, Conversation, Tokenizer } from '../models/types.ts';
import { turnsOf } from './turns.ts';
import type { Example } from './types.ts';

type Span = [from: number, to: number];

/** An example as text, with the character spans [from, to) whose tokens carry loss. */
export interface RenderedText {
  text: string;
  spans: Span[];
}

export interface RenderContext {
  tokenizer: Tokenizer;
  template?: ChatTemplate;
  /** which tokens carry loss */
  loss: 'answer' | 'all';
}

/**
 * Renders a conversation with the model's template. An answer's span begins where the template's generation prompt ends and holds
 * the template's end of turn, so that the model learns to stop. Answers of the weight 0 have none.
 * @throws UserError when the template refuses the conversation
 */
export function renderChat(
  conversation: Conversation,
  { tokenizer, template }: Pick<RenderContext, 'tokenizer' | 'template'>,
): RenderedText {
  const { messages, tools, documents } = conversation;
  const learned = (answers: (Span | undefined)[]) =>
    answers.filter((span, i): span is Span => span !== undefined && messages[i]!.weight !== 0);
  if (!template) {
    const { text, answers } = plainChat(conversation, endText(tokenizer));
    return { text, spans: learned(answers) };
  }
  const used = placed(conversation, template);
  const { text, answers, generated } = turnsOf(used.messages, used.template, { tools, documents });
  const spans = learned(answers);
  return { text, spans: generated.length > 0 ? spans.flatMap((span) => marked(span, generated)) : spans };
}

/**
 * What a template's {% generation %} blocks mark of an answer. What is left of the answer behind the last of them is how it ends,
 * and is learned, too.
 */
function marked([from, to]: Span, generated: Span[]): Span[] {
  const parts = generated
    .map(([start, end]): Span => [Math.max(start, from), Math.min(end, to)])
    .filter(([start, end]) => start < end);
  const last = parts.at(-1);
  return last ? [...parts.slice(0, -1), [last[0], to]] : [];
}

/** An example as text with its loss spans; undefined for pre-tokenized ones. @throws UserError when a template refuses it */
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
  } else rendered = renderChat(example, context);
  return context.loss === 'all' ? { text: rendered.text, spans: [[0, rendered.text.length]] } : rendered;
}

/**
 * Tokens of a rendered text; `carriesLoss[i]` if token i begins inside a span. Of the tokens that the tokenizer puts around a text,
 * its first carries none, and its last does where the text is learned to its end: once, where the text says it itself.
 */
export function tokenizeRendered(
  { text, spans }: RenderedText,
  tokenizer: Tokenizer,
  addSpecialTokens: boolean,
): { ids: number[]; carriesLoss: boolean[] } {
  const { ids, offsets } = tokenizer.encodeWithOffsets(text, { addSpecialTokens });
  const isPutBehind = (i: number) => text !== '' && offsets[i]?.[0] === text.length;
  const said = ids.findLastIndex((_, i) => !isPutBehind(i));
  while (isPutBehind(ids.length - 1) && said >= 0 && ids.at(-1) === ids[said]) ids.pop();
  const toTheEnd = spans.some(([, to]) => to === text.length);
  const carriesLoss = ids.map((_, i) => {
    const [begins, ends] = offsets[i]!;
    if (isPutBehind(i)) return toTheEnd;
    if (i === 0 && ends === 0) return false;
    return spans.some(([from, to]) => begins >= from && begins < to);
  });
  return { ids, carriesLoss };
}
