import path from 'node:path';
import { UserError } from '../../../engine/types.ts';
import { readTexts } from '../../huggingface-folder.ts';
import type { ChatTemplate, Tokenizer } from '../../types.ts';

/** A text as a flow's text encoder takes it. */
export interface EncodedPrompt {
  ids: number[];
  /** the end of the text that there was no room for */
  left?: string;
}

/** Tokens that the pipeline takes of a text, with what its template puts around it. */
export const MOST_TOKENS = 512;

/** Texts as a flow's pipeline writes them for its language model: as what a user says, with the answer begun. */
export class PromptTokenizer {
  private constructor(
    readonly tokenizer: Tokenizer,
    private readonly template: ChatTemplate,
  ) {}

  /** Reads it from a folder with tokenizer.json and a chat template. @throws UserError */
  static async open(folder: string): Promise<PromptTokenizer> {
    const { tokenizer, chatTemplate } = (await readTexts(folder, undefined, [])) ?? {};
    if (!tokenizer) throw new UserError(`${folder} holds no tokenizer.json; fetch the whole folder`);
    if (!chatTemplate) {
      const place = path.join(folder, 'tokenizer_config.json');
      throw new UserError(`${folder} has no chat template, neither in ${place} nor as chat_template.jinja; fetch the whole folder`); // prettier-ignore
    }
    return new PromptTokenizer(tokenizer, chatTemplate);
  }

  /** Ids of a text; what it is too long by is told. */
  encode(text: string): EncodedPrompt {
    const written = this.template.render([{ role: 'user', content: text }], { addGenerationPrompt: true });
    const { ids, offsets } = this.tokenizer.encodeWithOffsets(written, { addSpecialTokens: true });
    if (ids.length <= MOST_TOKENS) return { ids };
    const own = written.indexOf(text.trim());
    const left = written.slice(offsets[MOST_TOKENS]![0], own + text.trim().length);
    return { ids: ids.slice(0, MOST_TOKENS), ...(left !== '' && { left }) };
  }
}
