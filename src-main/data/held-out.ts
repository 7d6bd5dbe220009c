import { UserError } from '../engine/types.ts';
import {
  openDataset,
  type DatasetFacts,
  type DatasetOptions,
  type DatasetSource,
  type OpenDataset,
  type PreparedExample,
} from './dataset.ts';
import { subset, type ExampleSource } from './example-source.ts';
import { splitOf } from './formats/folder.ts';
import { heldOutSplit, seededChoice } from './order.ts';

/** What of a dataset is held out: a split that came with it, or a part of the rows that are trained on. */
export interface HeldOutChoice {
  /** 'part', or a split's name; default: the split validation, else test, where there is one */
  heldOut?: string;
}

/** A dataset in two: what is trained on, and what is not. */
export interface SplitDataset<Example = PreparedExample> {
  dataset: OpenDataset<Example>;
  train: ExampleSource<Example>;
  heldOut: ExampleSource<Example>;
  /** the split that is held out; undefined for a part of the rows */
  separate?: OpenDataset<Example>;
  close(): void;
}

/**
 * The split that is held out; undefined for a part of the rows that are trained on. Where nothing is to be held out (`evalSplit` 0) a
 * split is only by name.
 * @param read the split that is trained on
 * @throws UserError for a split that isn't there
 */
export function heldOutSplitOf(
  { path, heldOut }: Pick<DatasetSource, 'path'> & HeldOutChoice,
  { split: read, splits = [] }: Pick<DatasetFacts, 'split' | 'splits'>,
  evalSplit: number,
): string | undefined {
  if (heldOut === 'part') return undefined;
  const others = splits.filter((split) => split !== read);
  if (heldOut === undefined)
    return evalSplit === 0
      ? undefined
      : ['validation', 'test'].map((name) => others.find((split) => splitOf(split) === name)).find(Boolean);
  if (others.includes(heldOut)) return heldOut;
  const known = ['part', ...others].map((one) => `"${one}"`).join(', ');
  throw new UserError(`${path} has no other split "${heldOut}" to hold out; heldOut is one of ${known}`);
}

/** Opens a dataset and what is held out of it. @throws UserError as `openDataset` does */
export const openSplitDataset = (
  source: DatasetSource & HeldOutChoice,
  index: number,
  options: DatasetOptions,
  training: { evalSplit: number; seed: number },
): Promise<SplitDataset> => splitDataset(source, training, (part) => openDataset(part, index, options));

/** A dataset that `open` opens, and what is held out of it: a split, which it opens, too, or a part of its rows. @throws UserError */
export async function splitDataset<Example>(
  source: DatasetSource & HeldOutChoice,
  { evalSplit, seed }: { evalSplit: number; seed: number },
  open: (source: DatasetSource) => Promise<OpenDataset<Example>>,
): Promise<SplitDataset<Example>> {
  const dataset = await open(source);
  try {
    const split = heldOutSplitOf(source, dataset, evalSplit);
    if (split === undefined) {
      const { train, heldOut } = heldOutSplit(dataset.examples.count, evalSplit, seed);
      const parts = { train: subset(dataset.examples, train), heldOut: subset(dataset.examples, heldOut) };
      return { dataset, ...parts, close: dataset.close };
    }
    const separate = await open({ ...source, split });
    const close = () => [dataset, separate].forEach((one) => one.close());
    return { dataset, separate, train: dataset.examples, heldOut: separate.examples, close };
  } catch (error) {
    dataset.close();
    throw error;
  }
}

/** The held-out examples that evaluations are of. */
export function evaluated<Example>(
  heldOut: ExampleSource<Example>,
  evalExamples: number | 'all',
  seed: number,
): ExampleSource<Example> {
  if (evalExamples === 'all') return heldOut;
  return subset(heldOut, seededChoice(heldOut.count, evalExamples, seed, 'evaluated examples'));
}
