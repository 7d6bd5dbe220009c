// The studio's renderings of the jobs that compare.py writes, one line of JSON each on standard input; a line each on standard output.
import readline from 'node:readline';
import { UserError } from '../../../../src-main/engine/types.ts';
import { chatTemplate } from '../../../../src-main/models/chat-template.ts';
import type { ChatMessage } from '../../../../src-main/models/types.ts';

interface Job {
  source: string;
  bos: string;
  eos: string;
  messages: ChatMessage[];
  tools?: unknown[];
  documents?: unknown[];
  asks: boolean;
  now: string;
}

function rendered({
  source,
  bos,
  eos,
  messages,
  tools,
  documents,
  asks,
  now,
}: Job): { text: string } | { why: string } {
  try {
    const template = chatTemplate(source, { bos, eos }, 'template');
    return { text: template.render(messages, { tools, documents, addGenerationPrompt: asks, now: new Date(now) }) };
  } catch (error) {
    if (error instanceof UserError) return { why: error.message };
    throw error;
  }
}

for await (const line of readline.createInterface({ input: process.stdin }))
  console.log(JSON.stringify(rendered(JSON.parse(line) as Job)));
