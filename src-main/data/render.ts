import { plainChat } from '../models/plain-chat.ts';
import { endText } from '../models/prompt.ts';
import { placed } from '../models/template-place.ts';
import { UserError } from '../engine/types.ts';
import type { ChatMessage, ChatTemplate, Conversation, Tokenizer } from '../models/types.ts';
import { turnsOf } from './turns.ts';
import type { Example } from './types.ts';

type Span = [from: number, to: number];

/** An example as text, with the character spans [from, to) whose tokens carry loss. */
export interface RenderedText {
  text: string;
  spans: Span[];
  /** characters of a conversation's system message with all around it, where the text begins with it */
  lead?: number;
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
    const lead = leadOf(text, messages, (only) => plainChat({ messages: only }, '').text);
    return { text, spans: learned(answers), lead };
  }
  const used = placed(conversation, template);
  const { text, answers, generated } = turnsOf(used.messages, used.template, { tools, documents });
  const spans = learned(answers);
  const lead = leadOf(text, used.messages, (only) => used.template.render(only, { tools, documents }));
  return { text, spans: generated.length > 0 ? spans.flatMap((span) => marked(span, generated)) : spans, lead };
}

/** What a conversation's text begins with where it is its system message; a template may write that into the first question instead. */
function leadOf(text: string, [first]: ChatMessage[], render: (only: ChatMessage[]) => string): number | undefined {
  if (first?.role !== 'system') return undefined;
  try {
    const lead = render([first]);
    return text.startsWith(lead) ? lead.length : undefined;
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
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
  return context.loss === 'all' ? { ...rendered, spans: [[0, rendered.text.length]] } : rendered;
}

/**
 * Tokens of a rendered text; `carriesLoss[i]` if token i begins inside a span, and how many of them its lead is. Of the tokens that the tokenizer puts around a text,
 * its first carries none, and its last does where the text is learned to its end: once, where the text says it itself.
 */
export function tokenizeRendered(
  { text, spans, lead = 0 }: RenderedText,
  tokenizer: Tokenizer,
  addSpecialTokens: boolean,
): { ids: number[]; carriesLoss: boolean[]; lead: number } {
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
  const behind = offsets.findIndex(([, ends]) => ends > lead);
  return { ids, carriesLoss, lead: lead === 0 ? 0 : Math.max(behind, 0) };
}
