import { Template } from '@huggingface/jinja';
import { UserError } from '../engine/types.ts';
import type { ChatMessage, ChatTemplate } from './types.ts';

/**
 * A chat template as models carry it (Jinja). Special tokens are passed as texts, as transformers does.
 * @throws UserError when the template is not valid Jinja
 */
export function chatTemplate(source: string, tokens: { bos?: string; eos?: string }, path: string): ChatTemplate {
  let template: Template;
  try {
    template = new Template(source);
  } catch (error) {
    throw new UserError(`${path}: its chat template can't be read (${(error as Error).message})`);
  }
  return {
    source,
    tokens,
    render(messages: ChatMessage[], { addGenerationPrompt = false } = {}) {
      try {
        return template.render({
          messages,
          add_generation_prompt: addGenerationPrompt,
          bos_token: tokens.bos ?? '',
          eos_token: tokens.eos ?? '',
        });
      } catch (error) {
        const roles = messages.map((message) => message.role).join(', ');
        throw new UserError(
          `The model's chat template refuses messages of the roles ${roles}: ${(error as Error).message}`,
        );
      }
    },
  };
}
