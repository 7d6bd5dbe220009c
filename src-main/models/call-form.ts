import { UserError } from '../engine/types.ts';
import { parseJson } from './exact-number.ts';
import type { ChatMessage, ChatTemplate } from './types.ts';

/** How a template reads the calls of tools. */
export interface CallForm {
  /** of a message that holds calls alone: DeepSeek's first templates write calls beside None only */
  content: '' | null;
  /** arguments that are JSON text are given as the object that it stands for */
  objects: boolean;
}

const FORMS: CallForm[] = [
  { content: '', objects: false },
  { content: '', objects: true },
  { content: null, objects: false },
  { content: null, objects: true },
];

/** A name and an id that a conversation is searched for: nine letters, as Mistral's templates want ids. */
const SIGN = 'zqjzqjzqj';
const TOOL = { type: 'function', function: { name: 'other', description: '', parameters: { type: 'object', properties: {} } } }; // prettier-ignore

/** What a template makes of one call; undefined where it refuses. */
function called(template: ChatTemplate, { content, objects }: CallForm): string | undefined {
  const call = { name: SIGN, arguments: objects ? { [SIGN]: 1 } : `{"${SIGN}": 1}` };
  const messages: ChatMessage[] = [
    { role: 'user', content: 'a' },
    { role: 'assistant', content, tool_calls: [{ id: SIGN, type: 'function', function: call }] },
  ];
  try {
    return template.render(messages, { tools: [TOOL] });
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

const known = new WeakMap<ChatTemplate, CallForm | 'nowhere'>();

/**
 * The first form in which a template writes a call whole, found by rendering one: not refused, not left out, its arguments no text in a
 * text. Where there is none, `nowhere` if it leaves calls out, else the form that datasets have.
 */
export function callForm(template: ChatTemplate): CallForm | 'nowhere' {
  const found = known.get(template) ?? search(template);
  known.set(template, found);
  return found;
}

function search(template: ChatTemplate): CallForm | 'nowhere' {
  const texts = FORMS.map((form) => called(template, form));
  const whole = FORMS.find((_, i) => texts[i]?.includes(SIGN) && !texts[i].includes(`\\"${SIGN}`));
  if (whole) return whole;
  const rendered = texts.filter((text) => text !== undefined);
  return rendered.length > 0 && !rendered.some((text) => text.includes(SIGN)) ? 'nowhere' : FORMS[0]!;
}

/** Messages with their calls in a form. */
export function inForm(messages: ChatMessage[], { content, objects }: CallForm): ChatMessage[] {
  return messages.map((message) => {
    if (!message.tool_calls?.length) return message;
    const calls = objects ? message.tool_calls.map(withObjects) : message.tool_calls;
    return { ...message, content: message.content || content, tool_calls: calls };
  });
}

/** A call, with the object that its arguments' text stands for; as it is where that is none. */
function withObjects(call: unknown): unknown {
  const { function: wrapped, arguments: given } = call as { function?: object; arguments?: unknown };
  if (wrapped) return { ...(call as object), function: withObjects(wrapped) };
  if (typeof given !== 'string') return call;
  try {
    const value = parseJson(given);
    return typeof value === 'object' && value !== null ? { ...(call as object), arguments: value } : call;
  } catch {
    return call;
  }
}
