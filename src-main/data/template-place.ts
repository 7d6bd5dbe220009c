import type { ChatTemplate } from '../models/types.ts';
import type { Example } from './types.ts';

const HELD: { name: 'tools' | 'documents' | 'tool_calls'; what: string }[] = [
  { name: 'tools', what: 'describes tools' },
  { name: 'documents', what: 'holds documents' },
  { name: 'tool_calls', what: 'holds tool calls' },
];

/**
 * What a chat holds that the model's template (or a model without one) has no place for: transformers would leave it out in
 * silence, and the model would learn an answer without its question, or none.
 * @returns a reason; undefined where there is a place for all
 */
export function withoutPlace(example: Example, template: ChatTemplate | undefined): string | undefined {
  if (example.kind !== 'chat') return undefined;
  const holds = (name: string) =>
    name === 'tool_calls'
      ? example.messages.some(({ tool_calls: calls }) => calls?.length)
      : Boolean(example[name as 'tools' | 'documents']?.length);
  const without = HELD.find(({ name }) => holds(name) && !template?.source.includes(name));
  return without && `the row ${without.what}, and the model's chat template has no place for ${without.name}`;
}
