import type { ChatMessage } from '../models/types.ts';
import { fieldText, isLearned, isPresent, parsedIfText, RowRefusal, withoutNulls } from './field-text.ts';
import { isObject } from './formats/source.ts';

type Fields = Record<string, unknown>;

/** The names that datasets give a role, in lower case. */
const ROLES: Record<string, string> = Object.fromEntries(
  Object.entries({
    system: ['system', 'developer', 'system_prompt'],
    user: ['user', 'human', 'prompter', 'customer', 'person', 'student', 'client'],
    assistant: ['assistant', 'gpt', 'chatgpt', 'model', 'bot', 'chatbot', 'ai', 'agent', 'bing', 'bard', 'claude'],
    tool: ['tool', 'function', 'observation', 'ipython', 'tool_response', 'function_response', 'tool_result'],
    // An assistant's message whose content is the call, as JSON.
    call: ['function_call', 'tool_call'],
  }).flatMap(([role, names]) => names.map((name) => [name, role])),
);
const TEXT_PARTS = ['text', 'input_text', 'output_text'];

/**
 * A list of messages (`role` and `content`, or `from` and `value`), or JSON text of one, as chat templates take them. Fields that
 * are null count as absent.
 * @throws RowRefusal naming what can't be read
 */
export function readMessages(value: unknown, field: string): ChatMessage[] {
  const list = parsedIfText(value);
  if (!Array.isArray(list) || list.length === 0 || !list.every(isObject))
    throw new RowRefusal(`${field} is not a list of messages with role and content, or from and value`);
  return list.map(readMessage);
}

function readMessage(given: Fields): ChatMessage {
  const message = withoutNulls(given) as Fields;
  const name = message.role ?? message.from;
  if (typeof name !== 'string') throw new RowRefusal('a message has no role');
  const role = ROLES[name.trim().toLowerCase().replaceAll('-', '_')];
  if (!role) throw new RowRefusal(`the role "${name}" is not known`);
  const content = contentText(message.content ?? message.value ?? message.text);
  const common = { ...weightOf(message), ...namesOf(message) };
  if (role === 'call') return { role: 'assistant', content: '', tool_calls: callsIn(content), ...common };
  const calls = toolCalls(message);
  if (role !== 'assistant') {
    if (calls) throw new RowRefusal(`a message of the role "${name}" holds tool calls`);
    if (content === undefined) throw new RowRefusal(`a message of the role "${name}" has no content (null or absent)`);
    return { role, content, ...common };
  }
  const thought = message.reasoning_content ?? message.reasoning ?? message.thinking;
  if (content === undefined && !calls) throw new RowRefusal('an assistant’s message has neither content nor tool calls (null or absent)'); // prettier-ignore
  if (!content?.trim() && !calls && !isPresent(thought) && common.weight !== 0)
    throw new RowRefusal('an assistant’s message is empty');
  return {
    role,
    content: content ?? '',
    ...(isPresent(thought) && { reasoning_content: fieldText(thought, 'reasoning_content') }),
    ...(calls && { tool_calls: calls }),
    ...common,
  };
}

/** Text, or the texts of a list of parts end to end. */
function contentText(content: unknown): string | undefined {
  if (content === undefined) return undefined;
  if (!Array.isArray(content)) return fieldText(content, 'a message’s content');
  const isParts = content.some((part) => isObject(part) && (typeof part.type === 'string' || 'text' in part));
  if (!isParts && !content.every((part) => typeof part === 'string')) return fieldText(content, 'a message’s content');
  return content.map(partText).join('');
}

function partText(part: unknown): string {
  if (typeof part === 'string') return part;
  if (!isObject(part)) throw new RowRefusal('a message’s content is a list with something else than parts in it');
  const type = part.type ?? 'text';
  if (!TEXT_PARTS.includes(String(type)))
    throw new RowRefusal(`a message holds a part of the kind "${String(type)}"; only text is read`);
  return fieldText(part.text ?? part.content, 'a part of a message');
}

/** What says of a message whether it is learned, by the names that datasets give it; of the last two the contrary. */
const LEARNED = ['weight', 'train', 'training', 'trainable', 'loss'];
const NOT_LEARNED = ['masked', 'mask'];

/** 1, true or absent: carries loss; 0 and false do not. */
function weightOf(message: Fields): { weight?: number } {
  const said = [...LEARNED, ...NOT_LEARNED].filter((name) => message[name] !== undefined);
  const learned = said.map((name) => {
    const text = fieldText(message[name], name);
    const is = isLearned(text);
    if (is === undefined) throw new RowRefusal(`a message’s ${name} is ${text}; 0 (not learned) and 1 are read`);
    return is !== NOT_LEARNED.includes(name);
  });
  if (new Set(learned).size > 1) throw new RowRefusal(`of a message’s ${said.join(' and ')} one says that it is learned, and one that it is not`); // prettier-ignore
  return learned[0] === false ? { weight: 0 } : {};
}

function namesOf({ name, tool_call_id: id }: Fields): Pick<ChatMessage, 'name' | 'tool_call_id'> {
  return {
    ...(isPresent(name) && { name: fieldText(name, 'name') }),
    ...(isPresent(id) && { tool_call_id: fieldText(id, 'tool_call_id') }),
  };
}

/** A message's calls as templates take them, those of the older `function_call` too; undefined where there are none. */
function toolCalls({ tool_calls: given, function_call: single }: Fields): unknown[] | undefined {
  if (isObject(single)) return [{ type: 'function', function: single }];
  const calls = given === '' ? undefined : parsedIfText(given);
  if (given !== undefined && given !== '' && !Array.isArray(calls))
    throw new RowRefusal('a message’s tool_calls are not a list');
  return Array.isArray(calls) && calls.length > 0 ? (calls as unknown[]) : undefined;
}

/** The calls that a message of the role `function_call` writes as JSON. */
function callsIn(content: string | undefined): unknown[] {
  const parsed = parsedIfText(content);
  const calls = Array.isArray(parsed) ? (parsed as unknown[]) : [parsed];
  return calls.map((call) => {
    if (!isObject(call) || typeof call.name !== 'string')
      throw new RowRefusal('a function call is not JSON with name and arguments');
    return { type: 'function', function: { name: call.name, arguments: call.arguments ?? {} } };
  });
}

/** A row's `tools` or `documents`: a list, or JSON text of one (of each element, too); undefined where there are none. */
export function readList(value: unknown, field: string): unknown[] | undefined {
  if (!isPresent(value) || value === '') return undefined;
  const list = withoutNulls(parsedIfText(value));
  if (!Array.isArray(list)) throw new RowRefusal(`${field} is not a list, or not JSON of one`);
  const items = list.map(
    (item) => (typeof item === 'string' && field === 'tools' ? parsedIfText(item) : item) as unknown,
  );
  if (items.includes(undefined)) throw new RowRefusal(`${field} holds a text that is not JSON`);
  return items.length > 0 ? items : undefined;
}
