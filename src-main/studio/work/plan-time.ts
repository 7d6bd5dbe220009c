import { heldOutCount } from '../../data/order.ts';
import { flopsPerToken } from '../../effilora/memory-plan.ts';
import type { EngineFacts, ModelFacts, RunShape } from '../../effilora/memory-plan.ts';
import { flopsOnce, seenShape, type SeenFacts } from '../../effilora/seen.ts';
import type { SpeedFacts } from '../../trainer/machine-speed.ts';
import { EVAL_SPLIT, type Recipe } from '../../recipe/recipe.ts';
import type { TextPlanFacts } from '../../tasks/task.ts';
import type { MixFacts } from './data-facts.ts';

/** What of a mix is held out. */
export interface HeldOutFacts {
  /** held out, of so many there are */
  examples: number;
  of: number;
  /** tokens of one of them */
  meanTokens: number;
}

/** @param evalSplit as the user fixed it; what is no number is refused with the recipe */
export function heldOutFacts(evalSplit: unknown, data: MixFacts): HeldOutFacts {
  const share = typeof evalSplit === 'number' ? evalSplit : EVAL_SPLIT;
  const parts = data.parts.map(({ examples, separate }) => ({
    examples: separate?.examples ?? heldOutCount(examples, share),
    of: examples + (separate?.examples ?? 0),
    tokens: separate?.meanTokens ?? data.meanTokens,
  }));
  const sum = (of: (part: (typeof parts)[number]) => number) => parts.reduce((all, part) => all + of(part), 0);
  const examples = sum((part) => part.examples);
  const meanTokens = examples === 0 ? 0 : sum((part) => part.examples * part.tokens) / examples;
  return { examples, of: sum((part) => part.of), meanTokens };
}

/**
 * Seconds of a run beside its steps: what comes before the first of them (files read, graphs compiled), what is looked at once, its
 * evaluations and its sample answers, both once more before the first step.
 */
export function secondsBesideSteps(
  { training }: Recipe,
  run: Pick<RunShape, 'method' | 'precision' | 'sequenceLength'>,
  heldOut: HeldOutFacts,
  model: ModelFacts,
  engine: EngineFacts,
  speed: SpeedFacts,
  { sampleFlops }: Pick<TextPlanFacts, 'sampleFlops'>,
  seen?: SeenFacts,
): number {
  const { evalExamples, evalEvery, sequenceLength, samples, steps = 0, batch, accumulate } = training;
  const examples = Math.min(heldOut.examples, evalExamples === 'all' ? heldOut.examples : evalExamples);
  const looking = flopsOnce(seen, run.method, steps * batch * accumulate, examples) / engine.flopsPerSecond;
  const before = model.layers * speed.setUpSecondsALayer + looking;
  if (heldOut.examples === 0) return before;
  const tokens = Math.min(heldOut.meanTokens, sequenceLength);
  const shape: RunShape = { ...run, products: 'f32', tokens: 0, evaluationTokens: 0, recompute: false };
  // Forward alone is half of a step's operations, about.
  const loss = (examples * tokens * flopsPerToken(model, shape, tokens)) / 2 / engine.flopsPerSecond;
  const asked = Math.min(samples, heldOut.examples);
  const answers = (asked * sampleFlops(model.parameters)) / speed.answerFlopsPerSecond;
  const { forwardFlops = 0 } = seenShape(seen, run.method, batch, tokens, 0) ?? {};
  const seeing = ((examples + asked) * forwardFlops) / engine.flopsPerSecond;
  return before + (1 + Math.ceil(steps / evalEvery)) * (loss + answers + seeing);
}
