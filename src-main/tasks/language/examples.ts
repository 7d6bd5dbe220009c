import type { DatasetOptions, PreparedExample } from '../../data/dataset.ts';
import { concatenated, subset } from '../../data/example-source.ts';
import { checkDropped } from '../../data/dropped.ts';
import { GrowingDataset } from '../../data/growing.ts';
import { evaluated, openSplitDataset, type SplitDataset } from '../../data/held-out.ts';
import { UserError } from '../../engine/types.ts';
import type { ModelFile } from '../../models/types.ts';
import type { Recipe } from '../../recipe/recipe.ts';
import type { RunData } from '../task.ts';

/** How a recipe's data is read for a model. @throws UserError if the sequence is longer than the model's context */
function datasetOptions({ training }: Pick<Recipe, 'training'>, file: ModelFile): DatasetOptions {
  const { sequenceLength, loss, long } = training;
  if (sequenceLength > file.config.contextLength)
    throw new UserError(
      `training.sequenceLength is ${sequenceLength}, but ${file.name} reads ${file.config.contextLength} tokens at most; lower it`,
    );
  const { tokenizer, chatTemplate: template } = file;
  return { tokenizer, template, loss, long, sequenceLength, vocabularySize: file.config.vocabularySize };
}

/** So many examples are looked at before a training begins that doesn't wait for all. */
const LOOKED_AT = 1000;

/**
 * Reads and splits a recipe's datasets. Which examples are held out, the order of the others and the steps of an epoch are drawn from
 * how many there are, so that all rows are read first; where a recipe says all three without, it begins with the first examples.
 * @throws UserError
 */
export async function readRunData(recipe: Recipe, file: ModelFile): Promise<RunData<PreparedExample>> {
  const options = datasetOptions(recipe, file);
  if (mayGrow(recipe)) return growingData(recipe, options);
  const parts: SplitDataset[] = [];
  try {
    // One after the other, as each takes every core.
    for (const [index, source] of recipe.dataset.entries()) {
      const part = await openSplitDataset(source, index, options, recipe.training);
      parts.push(part);
      checkDropped(source.path, part.dataset.report, source.acceptDropped);
    }
    return runDataOf(parts, recipe);
  } catch (error) {
    for (const { close } of parts) close();
    throw error;
  }
}

/** Whether the first steps follow from the first rows alone. */
function mayGrow({ dataset, training, budget }: Recipe): boolean {
  const { shuffle, steps, evalSplit, recompute } = training;
  const [{ weight, heldOut }, ...others] = dataset as [Recipe['dataset'][number], ...Recipe['dataset']];
  const isInOrder = !shuffle && others.length === 0 && weight === 1;
  const fits = recompute !== 'auto' || budget?.memoryBytes === undefined;
  return isInOrder && fits && steps !== undefined && evalSplit === 0 && (heldOut === undefined || heldOut === 'part');
}

async function growingData({ dataset }: Recipe, options: DatasetOptions): Promise<RunData<PreparedExample>> {
  const source = dataset[0]!;
  const growing = new GrowingDataset(source, options, source.acceptDropped);
  const whole = async () => {
    const { examples, ...facts } = await growing.whole;
    checkDropped(source.path, facts.report, source.acceptDropped);
    return { facts, count: examples.count };
  };
  const nothing = subset(growing.examples, []);
  const close = () => growing.close();
  const data = { separate: [undefined], heldOut: nothing, heldOutCount: 0, train: growing.examples, close };
  try {
    await growing.upTo(LOOKED_AT);
    if (growing.isWhole) {
      const { facts, count } = await whole();
      return { ...data, datasets: [facts], sizes: [count] };
    }
  } catch (error) {
    close();
    throw error;
  }
  const more = {
    get isWhole() {
      return growing.isWhole;
    },
    upTo: (count: number) => growing.upTo(count),
    whole,
  };
  return { ...data, growing: more, datasets: [], sizes: [] };
}

function runDataOf(parts: SplitDataset[], { training }: Recipe): RunData<PreparedExample> {
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
