import { openDataset, type DatasetOptions, type OpenDataset, type PreparedExample } from '../data/dataset.ts';
import { concatenated, subset, type ExampleSource } from '../data/example-source.ts';
import { checkDropped } from '../data/dropped.ts';
import { openRows } from '../data/formats/rows.ts';
import { heldOutSplit, seededChoice } from '../data/order.ts';
import { contentSha256 } from '../data/prepared/content.ts';
import { UserError } from '../engine/types.ts';
import type { ModelFile } from '../models/types.ts';
import type { Recipe } from './recipe.ts';
import type { RunDatasets } from './run-datasets.ts';

/** A recipe's data, split; its examples are read when they are needed. */
export interface RunData {
  datasets: OpenDataset[];
  /** of all datasets, in their order */
  train: ExampleSource<PreparedExample>;
  /** how many of each dataset */
  sizes: number[];
  /** what evaluations are of: of the held-out examples training.evalExamples, by seed always the same ones */
  heldOut: ExampleSource<PreparedExample>;
  /** how many are held out in all */
  heldOutCount: number;
}

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

/**
 * Reads and splits a recipe's datasets. Which examples are held out, and the order of the others, are drawn from how many there are:
 * so nothing is trained on before all rows are read.
 * @throws UserError
 */
export async function readRunData(recipe: Recipe, file: ModelFile): Promise<RunData> {
  const options = datasetOptions(recipe, file);
  const datasets: OpenDataset[] = [];
  try {
    // One after the other, as each takes every core.
    for (const [index, source] of recipe.dataset.entries()) {
      const dataset = await openDataset(source, index, options);
      datasets.push(dataset);
      checkDropped(source.path, dataset.report, source.acceptDropped);
    }
    return { datasets, ...splitOf(datasets, recipe) };
  } catch (error) {
    for (const { close } of datasets) close();
    throw error;
  }
}

function splitOf(datasets: OpenDataset[], { training }: Recipe): Omit<RunData, 'datasets'> {
  const { evalSplit, evalExamples, seed } = training;
  const splits = datasets.map(({ examples }) => ({ examples, ...heldOutSplit(examples.count, evalSplit, seed) }));
  if (splits.some(({ train }) => train.length === 0))
    throw new UserError(
      'After the held-out split no example is left to train on; lower training.evalSplit or add examples',
    );
  const heldOut = concatenated(splits.map((split) => subset(split.examples, split.heldOut)));
  return {
    train: concatenated(splits.map((split) => subset(split.examples, split.train))),
    sizes: splits.map(({ train }) => train.length),
    heldOut: evaluated(heldOut, evalExamples, seed),
    heldOutCount: heldOut.count,
  };
}

/** The held-out examples that evaluations are of. */
export function evaluated<Example>(
  heldOut: ExampleSource<Example>,
  evalExamples: Recipe['training']['evalExamples'],
  seed: number,
): ExampleSource<Example> {
  if (evalExamples === 'all') return heldOut;
  return subset(heldOut, seededChoice(heldOut.count, evalExamples, seed, 'evaluated examples'));
}

/** Ends reading a run's data. */
export function closeRunData({ datasets }: Pick<RunData, 'datasets'>): void {
  for (const { close } of datasets) close();
}

/** Which data a recipe's files hold now. @throws UserError when one can't be read */
export async function datasetsNow(recipe: Pick<Recipe, 'dataset'>): Promise<RunDatasets> {
  const datasets: RunDatasets['datasets'] = [];
  for (const source of recipe.dataset)
    datasets.push({ path: source.path, sha256: await contentSha256((await openRows(source.path, source)).files) });
  return { datasets };
}
