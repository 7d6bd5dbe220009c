import type { DatasetOptions } from '../data/dataset.ts';
import { checkDropped } from '../data/dropped.ts';
import { concatenated } from '../data/example-source.ts';
import { evaluated, type SplitDataset } from '../data/held-out.ts';
import { UserError } from '../engine/types.ts';
import type { ModelFile } from '../models/types.ts';
import type { Recipe } from '../recipe/recipe.ts';
import type { RunData } from './task.ts';

/** How a recipe's data is read for a model. @throws UserError if the sequence is longer than the model's context */
export function datasetOptions({ training }: Pick<Recipe, 'training'>, file: ModelFile): DatasetOptions {
  const { sequenceLength, loss, long } = training;
  if (sequenceLength > file.config.contextLength)
    throw new UserError(
      `training.sequenceLength is ${sequenceLength}, but ${file.name} reads ${file.config.contextLength} tokens at most; lower it`,
    );
  const { tokenizer, chatTemplate: template } = file;
  return { tokenizer, template, loss, long, sequenceLength, vocabularySize: file.config.vocabularySize };
}

/** A recipe's datasets, each opened and split by `open`. @throws UserError where one can't be read or loses too many of its rows */
export async function splitRunData<Example>(
  recipe: Recipe,
  open: (source: Recipe['dataset'][number], index: number) => Promise<SplitDataset<Example>>,
): Promise<RunData<Example>> {
  const parts: SplitDataset<Example>[] = [];
  try {
    // One after the other, as each takes every core.
    for (const [index, source] of recipe.dataset.entries()) {
      const part = await open(source, index);
      parts.push(part);
      checkDropped(source.path, part.dataset.report, source.acceptDropped);
    }
    return runDataOf(parts, recipe);
  } catch (error) {
    for (const { close } of parts) close();
    throw error;
  }
}

function runDataOf<Example>(parts: SplitDataset<Example>[], { training }: Recipe): RunData<Example> {
  const { evalExamples, seed } = training;
  if (parts.some(({ train }) => train.count === 0))
    throw new UserError(
      'After the held-out split no example is left to train on; lower training.evalSplit or add examples',
    );
  const heldOut = concatenated(parts.map((part) => part.heldOut));
  return {
    datasets: parts.map(({ dataset }) => dataset),
    separate: parts.map(({ separate }) => separate),
    train: concatenated(parts.map(({ train }) => train)),
    sizes: parts.map(({ train }) => train.count),
    heldOut: evaluated(heldOut, evalExamples, seed),
    heldOutCount: heldOut.count,
    close: () => parts.forEach((part) => part.close()),
  };
}
