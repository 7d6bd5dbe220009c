import { generate } from '../../models/generate.ts';
import { endsOf } from '../../models/prompt.ts';
import type { Adaptation, Tokenizer } from '../../models/types.ts';
import type { VisionLanguageModel } from '../../models/vision/vision-language.ts';
import { ANSWER_TOKENS, firstPrompts, textOf, type SamplePrompt } from '../answers.ts';
import type { SampleLine, Samples } from '../task.ts';
import type { SeenExample } from './dataset.ts';

/** Held-out questions about pictures that a run is asked again and again. */
export class PicturePrompts implements Samples<VisionLanguageModel> {
  private readonly prompts: SamplePrompt<SeenExample>[];

  /** The first `count` examples that have a prompt and an answer. */
  constructor(
    private readonly tokenizer: Tokenizer | undefined,
    heldOut: Iterable<SeenExample>,
    count: number,
  ) {
    this.prompts = tokenizer && count > 0 ? firstPrompts(heldOut, tokenizer, count) : [];
  }

  /** The likeliest answer to each, from the model with `adaptation`. */
  async answer(step: number, model: VisionLanguageModel, adaptation: Adaptation): Promise<SampleLine[]> {
    const lines: SampleLine[] = [];
    for (const { of, ids, prompt, expected } of this.prompts) {
      const stop = endsOf(model.language.config, this.tokenizer!);
      const seen = await model.seenIn(ids, await of.fed());
      const tokens = generate(model.language, ids, { maxTokens: ANSWER_TOKENS, adaptation, stop, seen });
      const answer = await textOf(tokens, this.tokenizer!);
      lines.push({ step, prompt, pictures: of.pictures, answer: answer.trim(), expected });
    }
    return lines;
  }
}
