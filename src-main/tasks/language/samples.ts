import type { PreparedExample } from '../../data/dataset.ts';
import type { CausalLM } from '../../models/causal-lm.ts';
import { generate } from '../../models/generate.ts';
import { endsOf } from '../../models/prompt.ts';
import type { Adaptation, Tokenizer } from '../../models/types.ts';
import { ANSWER_TOKENS, firstPrompts, textOf, type SamplePrompt } from '../answers.ts';
import type { SampleLine, Samples } from '../task.ts';

/** Held-out prompts that the run is asked again and again. */
export class SamplePrompts implements Samples<CausalLM> {
  private readonly prompts: SamplePrompt[];

  /** The first `count` examples that have a prompt and an answer; without a tokenizer there are none. */
  constructor(
    private readonly tokenizer: Tokenizer | undefined,
    heldOut: Iterable<PreparedExample>,
    count: number,
  ) {
    this.prompts = tokenizer && count > 0 ? firstPrompts(heldOut, tokenizer, count) : [];
  }

  /** The likeliest answer to each prompt, from the model with `adaptation`. */
  async answer(step: number, model: CausalLM, adaptation: Adaptation): Promise<SampleLine[]> {
    const lines: SampleLine[] = [];
    for (const { ids, prompt, expected } of this.prompts) {
      const stop = endsOf(model.config, this.tokenizer!);
      const tokens = generate(model, ids, { maxTokens: ANSWER_TOKENS, adaptation, stop });
      const answer = await textOf(tokens, this.tokenizer!);
      lines.push({ step, prompt, answer: answer.trim(), expected });
    }
    return lines;
  }
}
