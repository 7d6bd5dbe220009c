import { sizesOf, type ExampleSource } from '../data/example-source.ts';
import { evaluationTokens, lengthFacts, mostTokens } from '../effilora/length-facts.ts';
import { flopsPerToken, frozenBytes, memoryPlan, recomputationFor } from '../effilora/memory-plan.ts';
import type { EngineFacts, ModelFacts, RunShape } from '../effilora/memory-plan.ts';
import { seenShape, type SeenFacts } from '../effilora/seen.ts';
import type { AdapterOptions } from '../effilora/types.ts';
import type { ModelFile } from '../models/types.ts';
import { modelSites } from '../models/weights.ts';
import type { Recipe } from '../recipe/recipe.ts';
import { answerFlops } from './answers.ts';
import type { RunCost, TextPlanFacts } from './task.ts';

/** What the plan needs to know of a base model. */
export function modelFacts({ name, config, tensors }: Pick<ModelFile, 'name' | 'config' | 'tensors'>): ModelFacts {
  return {
    ...config,
    name,
    fileBytes: tensors.reduce((sum, { byteLength }) => sum + byteLength, 0),
    parameters: tensors.reduce((sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1), 0),
    sites: modelSites(config),
  };
}

/** A recipe's steps over examples of these lengths, as the plan sees them; recomputation is left to be chosen where it is auto. */
export function runShape(
  { training }: Recipe,
  method: AdapterOptions,
  exampleTokens: ArrayLike<number>,
  { endToEnd }: EngineFacts,
  seen?: SeenFacts,
): RunShape {
  const { precision: products, weights, sequenceLength, batch, recompute, evalSplit } = training;
  const lengths = lengthFacts(exampleTokens);
  const heldOutTokens = evalSplit > 0 ? evaluationTokens(sequenceLength) : 0;
  return {
    method,
    precision: weights === 'auto' ? 'file' : weights,
    products,
    sequenceLength,
    tokens: mostTokens(lengths, endToEnd, sequenceLength, batch),
    recompute: recompute !== 'auto' && recompute,
    evaluationTokens: heldOutTokens,
    seen: seenShape(seen, method, batch, lengths.meanTokens, heldOutTokens),
  };
}

/** What plans of models that write reckon with; `own`: what is otherwise where they see. */
export const textPlan = (own: Partial<Pick<TextPlanFacts, 'model' | 'seen'>> = {}): TextPlanFacts => ({
  ...{ model: modelFacts, seen: () => undefined, shape: runShape, sampleFlops: answerFlops },
  ...own,
});

/** What the frozen weights of a model that writes take at least. */
export const textHeld =
  (plan: TextPlanFacts) =>
  (file: ModelFile, { precisions }: Pick<EngineFacts, 'precisions'>): number => {
    const model = plan.model(file);
    return frozenBytes(model, precisions.includes('file') ? 'file' : 'f32') + (model.seesBytes ?? 0);
  };

/** What a recipe's steps over texts take. */
export const textCost =
  (plan: TextPlanFacts) =>
  (
    recipe: Recipe,
    method: AdapterOptions,
    file: ModelFile,
    train: ExampleSource<unknown>,
    engine: EngineFacts,
  ): RunCost => {
    const model = plan.model(file);
    const lengths = sizesOf(train);
    const shape = plan.shape(recipe, method, lengths, engine, plan.seen(file, train));
    const meanTokens = lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
    return {
      ...{
        seenFlops: shape.seen?.forwardFlops ?? 0,
        sampleFlops: plan.sampleFlops(model.parameters),
        blocks: model.layers,
      },
      memory: (recompute) => memoryPlan(model, engine, { ...shape, recompute }),
      flopsPerUnit: (recompute) => flopsPerToken(model, { ...shape, recompute }, meanTokens),
      recomputationFor: (budgetBytes) => recomputationFor(model, engine, shape, budgetBytes),
    };
  };
