import { UserError } from '../engine/types.ts';
import { messageText } from './message-text.ts';
import type { ChatMessage, Conversation } from './types.ts';

/** What of a conversation can't be said without a template; undefined where all can. */
function unspeakable(message: ChatMessage): string | undefined {
  if (message.tool_calls?.length) return 'tool calls';
  if (message.reasoning_content) return 'thoughts';
  if (typeof message.content === 'object' && message.content?.some(({ type }) => type !== 'text'))
    return 'parts that are no text';
  return undefined;
}

function refuse(what: string): never {
  throw new UserError(`The model has no chat template to write ${what} with; take one that has`);
}

/**
 * A conversation for a model without a chat template: contents, one after the other, each on its line; an answer is closed by
 * `end`. `answers[i]` is where message i stands, for those of the assistant.
 * @throws UserError for what only a template can write
 */
export function plainChat(
  { messages, tools, documents }: Conversation,
  end: string,
): { text: string; answers: ([number, number] | undefined)[] } {
  if (tools?.length || documents?.length) refuse(tools?.length ? 'tools' : 'documents');
  let text = '';
  const answers = messages.map((message): [number, number] | undefined => {
    const what = unspeakable(message);
    if (what) refuse(what);
    const from = text.length;
    const isAnswer = message.role === 'assistant';
    text += messageText(message) + (isAnswer ? end : '\n');
    return isAnswer ? [from, text.length] : undefined;
  });
  return { text, answers };
}
