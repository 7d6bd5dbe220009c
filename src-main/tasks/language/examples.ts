import type { DatasetOptions, PreparedExample } from '../../data/dataset.ts';
import { subset } from '../../data/example-source.ts';
import { checkDropped } from '../../data/dropped.ts';
import { GrowingDataset } from '../../data/growing.ts';
import { openSplitDataset } from '../../data/held-out.ts';
import type { ModelFile } from '../../models/types.ts';
import type { Recipe } from '../../recipe/recipe.ts';
import { datasetOptions, splitRunData } from '../run-data.ts';
import type { RunData } from '../task.ts';

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
  return splitRunData(recipe, (source, index) => openSplitDataset(source, index, options, recipe.training));
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
