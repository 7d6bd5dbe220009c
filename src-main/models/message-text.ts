import type { ChatMessage } from './types.ts';

/** What a message says, as text: the text parts of its content one after the other; empty where it says nothing. */
export function messageText({ content }: ChatMessage): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => part.text ?? '').join('');
}
