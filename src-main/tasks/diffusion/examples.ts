import { subset, type ExampleSource } from '../../data/example-source.ts';
import { groupedOrder } from '../../data/grouped-order.ts';
import { splitDataset } from '../../data/held-out.ts';
import type { Recipe } from '../../recipe/recipe.ts';
import { splitRunData } from '../run-data.ts';
import type { RunData } from '../task.ts';
import { openCaptionedDataset, type CaptionedExample, type CaptionedReading } from './dataset.ts';

/** A recipe's captioned pictures, split; those that a folder's name repeats are there as often. @throws UserError */
export async function readCaptionedData(recipe: Recipe, reading: CaptionedReading): Promise<RunData<CaptionedExample>> {
  const data = await splitRunData(recipe, (source, index) =>
    splitDataset(source, recipe.training, (part) => openCaptionedDataset(part, index, reading)),
  );
  const all = repeated(data);
  return { ...all, arranged: (batch) => bucketOrder(all.train, batch) };
}

/** What is trained on, as often as its folders say; what is held out is seen once. */
export function repeated(data: RunData<CaptionedExample>): RunData<CaptionedExample> {
  const { train, sizes } = data;
  const places: number[] = [];
  let start = 0;
  const repeatedSizes = sizes.map((size) => {
    const before = places.length;
    for (let i = start; i < start + size; i++) for (let time = 0; time < train.read(i).repeats; time++) places.push(i);
    start += size;
    return places.length - before;
  });
  if (places.length === train.count) return data;
  return { ...data, train: subset(train, places), sizes: repeatedSizes };
}

/** The order of an epoch as batches of `batch` take it, each of one bucket. */
export function bucketOrder(train: ExampleSource<CaptionedExample>, batch: number): (order: number[]) => number[] {
  const numbers = new Map<string, number>();
  const groups = Int32Array.from({ length: train.count }, (_, i) => {
    const { bucketWidth, bucketHeight } = train.read(i).picture;
    const name = `${bucketWidth} ${bucketHeight}`;
    return numbers.get(name) ?? (numbers.set(name, numbers.size), numbers.size - 1);
  });
  return (order) => groupedOrder(order, (index) => groups[index]!, batch);
}
