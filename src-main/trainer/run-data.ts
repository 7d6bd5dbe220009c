import type { DatasetOptions, OpenDataset, PreparedExample } from '../data/dataset.ts';
import { concatenated, subset, type ExampleSource } from '../data/example-source.ts';
import { checkDropped } from '../data/dropped.ts';
import { GrowingDataset } from '../data/growing.ts';
import { openRows } from '../data/formats/rows.ts';
import { heldOutSplitOf, openSplitDataset, type SplitDataset } from '../data/held-out.ts';
import { seededChoice } from '../data/order.ts';
import { contentSha256 } from '../data/prepared/content.ts';
import { UserError } from '../engine/types.ts';
import type { ModelFile } from '../models/types.ts';
import type { Recipe } from '../recipe/recipe.ts';
import type { RunDatasets } from './run-datasets.ts';

/** A recipe's data, split; its examples are read when they are needed. */
export interface RunData {
  datasets: OpenDataset[];
  /** of each dataset the split that is held out; undefined where a part of its rows is */
  separate: (OpenDataset | undefined)[];
  /** of all datasets, in their order */
  train: ExampleSource<PreparedExample>;
  /** how many of each dataset */
  sizes: number[];
  /** what evaluations are of: of the held-out examples training.evalExamples, by seed always the same ones */
  heldOut: ExampleSource<PreparedExample>;
  /** how many are held out in all */
  heldOutCount: number;
  /** the dataset, where training begins before it is read: what is above says then what is there of it */
  growing?: GrowingDataset;
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

/** So many examples are looked at before a training begins that doesn't wait for all. */
const LOOKED_AT = 1000;

/**
 * Reads and splits a recipe's datasets. Which examples are held out, the order of the others and the steps of an epoch are drawn from
 * how many there are, so that all rows are read first; where a recipe says all three without, it begins with the first examples.
 * @throws UserError
 */
export async function readRunData(recipe: Recipe, file: ModelFile): Promise<RunData> {
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

async function growingData({ dataset: [source] }: Recipe, options: DatasetOptions): Promise<RunData> {
  const growing = new GrowingDataset(source!, options, source!.acceptDropped);
  const nothing = subset(growing.examples, []);
  const data = { separate: [undefined], heldOut: nothing, heldOutCount: 0, train: growing.examples };
  try {
    await growing.upTo(LOOKED_AT);
    if (!growing.isWhole) return { ...data, growing, datasets: [], sizes: [] };
    const dataset = await wholeOf(growing, source!);
    return { ...data, datasets: [dataset], sizes: [dataset.examples.count] };
  } catch (error) {
    growing.close();
    throw error;
  }
}

/** A dataset that was read to its end. @throws UserError where it can't be, or loses too many of its rows */
export async function wholeOf({ whole }: GrowingDataset, { path, acceptDropped }: Recipe['dataset'][number]) {
  const dataset = await whole;
  checkDropped(path, dataset.report, acceptDropped);
  return dataset;
}

function runDataOf(parts: SplitDataset[], { training }: Recipe): RunData {
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
export function closeRunData({ datasets, separate, growing }: RunData): void {
  growing?.close();
  for (const dataset of [...datasets, ...separate]) dataset?.close();
}

/** Which data a recipe's files hold now: its datasets', then that of the splits that are held out. @throws UserError when one can't be read */
export async function datasetsNow({ dataset, training }: Pick<Recipe, 'dataset' | 'training'>): Promise<RunDatasets> {
  const datasets: RunDatasets['datasets'] = [];
  const heldOut: RunDatasets['datasets'] = [];
  const filesNow = async (source: Recipe['dataset'][number]) => {
    const rows = await openRows(source.path, source);
    return { rows, now: { path: source.path, sha256: await contentSha256(rows.files) } };
  };
  for (const source of dataset) {
    const { rows, now } = await filesNow(source);
    datasets.push(now);
    const split = heldOutSplitOf(source, rows, training.evalSplit);
    if (split !== undefined) heldOut.push((await filesNow({ ...source, split })).now);
  }
  return { datasets: [...datasets, ...heldOut] };
}
