import { UserError } from '../../engine/types.ts';
import { DiffusionModel } from '../../models/diffusion/pipeline/model.ts';
import type { DiffusionModelFile } from '../../models/diffusion/model-file.ts';
import {
  diffusionMethodOf,
  diffusionMethodSchema,
  diffusionTargets,
  diffusionTrainingSchema,
} from '../../recipe/diffusion.ts';
import type { Task } from '../task.ts';
import { evaluationBatch, trainingBatch, type DiffusionBatch } from './batch.ts';
import { openCaptionedDataset, openCaptionedSample, type CaptionedExample, type CaptionedReading } from './dataset.ts';
import { evaluatedBatches, meanError } from './evaluation.ts';
import { readCaptionedData } from './examples.ts';
import { DiffusionNetwork } from './network.ts';
import { noiseObjective, type NoisedTensors } from './objective.ts';
import { batchOptions, completed, readingOf, type WholeTraining } from './options.ts';
import { diffusionCost, frozenBytes } from './plan.ts';
import { PaintedSamples, promptsFor } from './samples.ts';
import { sharesByTime } from './shares-by-time.ts';

type DiffusionTask = Task<
  CaptionedExample,
  DiffusionBatch,
  NoisedTensors,
  DiffusionNetwork,
  DiffusionModelFile,
  CaptionedReading
>;

/** The noise in pictures, by a network that texts tell what they show. */
export const diffusion: DiffusionTask = {
  unit: 'pictures',
  async load({ diffusion: file }, format) {
    if (format === 'integers') throw new Error('fitRecipe refuses products in integers');
    return new DiffusionNetwork(await DiffusionModel.load(file, format));
  },
  adapterOptions({ method }, model) {
    const { name, rank, heads, alpha, share, router, dropout, rsLora, dora } = method;
    const targets = diffusionTargets(method.diffusion ?? diffusionMethodSchema.parse({}), model.sites());
    return { name, rank, heads, alpha, targets, share, router, dropout, rsLora, dora };
  },
  methodOf: ({ targets, ...options }) => ({ ...options, diffusion: diffusionMethodOf(targets) }),
  complete(recipe, file) {
    recipe.training.diffusion = completed(recipe.training.diffusion ?? diffusionTrainingSchema.parse({}), file);
  },
  examples: (recipe, file) => readCaptionedData(recipe, readingOf(recipe.training.diffusion as WholeTraining, file)),
  reading(file, { sequenceLength, loss, pictures } = {}) {
    if (sequenceLength !== undefined || loss !== undefined)
      throw new UserError(`${file.name} makes pictures: a longest example and which tokens carry loss are for models that write`); // prettier-ignore
    return readingOf(completed(diffusionTrainingSchema.parse(pictures ?? {}), file), file);
  },
  dataset: (source, index, _, reading) => openCaptionedDataset(source, index, reading),
  sample: (source, index, _, reading) => openCaptionedSample(source, index, reading),
  async measure(source, _, reading) {
    const { examples, close, ...facts } = await openCaptionedDataset(source, 0, reading);
    void examples;
    close();
    return facts;
  },
  pictures: async (example, most) => (most > 0 ? [await example.shown()] : []),
  batch: (examples, { diffusion: told }, at) =>
    at
      ? trainingBatch(examples, at, batchOptions(told ?? diffusionTrainingSchema.parse({})))
      : evaluationBatch(examples, 0),
  objective: noiseObjective,
  evaluate: meanError,
  evaluated: evaluatedBatches,
  sharesByTime,
  samples(file, heldOut, { samples, diffusion: told }) {
    const { sampling } = completed(told ?? diffusionTrainingSchema.parse({}), file);
    return new PaintedSamples(promptsFor(sampling, heldOut, samples), sampling);
  },
  cost: diffusionCost,
  heldBytes: ({ diffusion: file }, { precisions }) => frozenBytes(file, precisions.includes('file') ? 'auto' : 'f32'),
};
