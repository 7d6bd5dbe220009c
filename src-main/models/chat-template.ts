import { UserError } from '../engine/types.ts';
import { JinjaError } from './jinja/budget.ts';
import { compile, type Rendering, type Template } from './jinja/template.ts';
import type { ChatMessage, ChatTemplate, SpecialTexts } from './types.ts';

/** Names under which a message's thought is passed; templates read the first, gpt-oss's the second. */
const THOUGHTS = ['reasoning_content', 'thinking', 'reasoning'] as const;

/** A message as the template sees it: its thought under the names that templates read, as transformers has it; no weight. */
function shown(whole: ChatMessage): object {
  const { weight, ...message } = whole;
  void weight;
  const given = message as Record<string, unknown>;
  const thought = THOUGHTS.map((name) => given[name]).find((value) => value !== undefined && value !== null);
  return thought === undefined ? message : { thinking: thought, ...message, reasoning_content: thought };
}

/**
 * A chat template as models carry it (Jinja). Special tokens are passed as texts, as transformers does.
 * @param toolUse the template that the model has for conversations with tools
 * @throws UserError when the template is not valid Jinja
 */
export function chatTemplate(source: string, tokens: SpecialTexts, path: string, toolUse?: string): ChatTemplate {
  const withTools = toolUse === undefined ? undefined : chatTemplate(toolUse, tokens, path);
  const template = read(source, path);
  const special = { ...tokens.others, bos_token: tokens.bos, eos_token: tokens.eos };
  const rendering: ChatTemplate['rendering'] = (messages, options = {}) => {
    const { addGenerationPrompt = false, tools, documents, now = new Date() } = options;
    const conversation = { messages: messages.map(shown), tools: tools ?? null, documents: documents ?? null };
    const given = { ...special, ...conversation, add_generation_prompt: addGenerationPrompt };
    return refusing(messages, () => template(given, now));
  };
  return { source, tokens, withTools, rendering, render: (messages, options) => rendering(messages, options).text };
}

function read(source: string, path: string): Template {
  try {
    return compile(source);
  } catch (error) {
    if (!(error instanceof JinjaError)) throw error;
    throw new UserError(`${path}: its chat template can't be read (${error.message})`);
  }
}

function refusing(messages: ChatMessage[], render: () => Rendering): Rendering {
  try {
    return render();
  } catch (error) {
    if (!(error instanceof JinjaError)) throw error;
    const roles = messages.map((message) => message.role).join(', ');
    throw new UserError(`The model's chat template refuses messages of the roles ${roles}: ${error.message}`);
  }
}
