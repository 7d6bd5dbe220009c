import { UserError } from '../engine/types.ts';
import { callForm, inForm } from './call-form.ts';
import type { ChatMessage, ChatTemplate, Conversation } from './types.ts';

const HELD: { name: 'tools' | 'documents' | 'tool_calls'; what: string }[] = [
  { name: 'tools', what: 'describes tools' },
  { name: 'documents', what: 'holds documents' },
  { name: 'tool_calls', what: 'holds tool calls' },
];

/**
 * The template that writes a conversation, and its messages in the form that this one reads. What the template has no place for
 * is refused: transformers would leave it out in silence, and the model would learn an answer without its question, or none.
 * @throws UserError naming what has no place
 */
export function placed(
  { messages, tools, documents }: Conversation,
  template: ChatTemplate,
): { template: ChatTemplate; messages: ChatMessage[] } {
  const used = (tools?.length && template.withTools) || template;
  const calls = messages.some((message) => message.tool_calls?.length);
  const form = calls ? callForm(used) : undefined;
  const holds = { tools: tools?.length, documents: documents?.length, tool_calls: calls };
  const isWithout = (name: keyof typeof holds) =>
    !used.source.includes(name) || (name === 'tool_calls' && form === 'nowhere');
  const without = HELD.find(({ name }) => holds[name] && isWithout(name));
  if (without)
    throw new UserError(
      `the conversation ${without.what}, and the model's chat template has no place for ${without.name}`,
    );
  return { template: used, messages: form && form !== 'nowhere' ? inForm(messages, form) : messages };
}
