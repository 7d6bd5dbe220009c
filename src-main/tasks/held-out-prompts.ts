import type { PreparedExample } from '../data/dataset.ts';
import type { CausalLM } from '../models/causal-lm.ts';
import { generate } from '../models/generate.ts';
import { endsOf } from '../models/prompt.ts';
import type { SeenPrompt } from '../models/seen-prompt.ts';
import type { Adaptation, Tokenizer } from '../models/types.ts';
import { ANSWER_TOKENS, firstPrompts, textOf, type SamplePrompt } from './answers.ts';
import type { Samples, TextSample } from './task.ts';

/** How a task's model is asked. */
export interface Asked<Model, Of extends PreparedExample> {
  /** the part of it that writes */
  writes(model: Model): CausalLM;
  /** what it sees of an example; nothing of a text */
  seen?(model: Model, prompt: SamplePrompt<Of>, adaptation?: Adaptation): Promise<SeenPrompt>;
  /** what a line says of the example besides */
  told?(of: Of, step: number): Promise<Pick<TextSample, 'pictures' | 'thumbnails'>>;
}

/** Held-out prompts that a run is asked again and again. */
export class HeldOutPrompts<Model, Of extends PreparedExample> implements Samples<Model, TextSample> {
  private readonly prompts: SamplePrompt<Of>[];

  /** The first `count` examples that have a prompt and an answer; without a tokenizer there are none. */
  constructor(
    private readonly asked: Asked<Model, Of>,
    private readonly tokenizer: Tokenizer | undefined,
    heldOut: Iterable<Of>,
    count: number,
  ) {
    this.prompts = tokenizer && count > 0 ? firstPrompts(heldOut, tokenizer, count) : [];
  }

  /** The likeliest answer to each prompt, from the model with `adaptation`. */
  async answer(step: number, model: Model, adaptation?: Adaptation): Promise<TextSample[]> {
    const language = this.asked.writes(model);
    const lines: TextSample[] = [];
    for (const asked of this.prompts) {
      const { of, ids, prompt, expected } = asked;
      const stop = endsOf(language.config, this.tokenizer!);
      const seen = await this.asked.seen?.(model, asked, adaptation);
      const tokens = generate(language, ids, { maxTokens: ANSWER_TOKENS, adaptation, stop, seen });
      const answer = await textOf(tokens, this.tokenizer!);
      lines.push({ step, prompt, ...(await this.asked.told?.(of, step)), answer: answer.trim(), expected });
    }
    return lines;
  }
}
