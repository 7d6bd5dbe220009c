import type { DatasetSource, OpenDataset } from '../../data/dataset.ts';
import type { DiffusionModelFile } from '../../models/diffusion/model-file.ts';
import { readingOfPictures } from '../../recipe/diffusion.ts';
import { taskOf } from '../../tasks/registry.ts';
import type { StoredAdapter } from '../../trainer/stored-adapter.ts';
import { dataSources, nameOfSources, splitSources } from '../data.ts';
import type { MeasuredOn } from '../fidelity.ts';

/** Pictures that the plain LoRA is fitted on, and those that the loss is measured on, at most. */
const CALIBRATED = 64;
const MEASURED = 64;
const AT_ONCE = 4;

/** Pictures to fit on in batches, and others to measure the loss on. */
export interface PictureData extends MeasuredOn {
  batches: unknown[][];
}

/** The dataset given, else the adapter's own, split as its recipe split it; undefined where neither is there. @throws UserError */
export async function pictureData(
  { description }: Pick<StoredAdapter, 'description'>,
  file: DiffusionModelFile,
  calibrate?: DatasetSource,
): Promise<PictureData | undefined> {
  const { recipe, sources } = await dataSources(description, calibrate);
  if (sources.length === 0) return undefined;
  const task = taskOf(file);
  const reading = task.reading(file, { pictures: readingOfPictures(recipe) });
  const parts = await splitSources(sources, recipe?.training ?? {}, (part, index) => task.dataset(part, index, file, reading) as Promise<OpenDataset<Bucketed>>); // prettier-ignore
  try {
    const train = parts.flatMap((part) => [...part.train].slice(0, CALIBRATED)).slice(0, CALIBRATED);
    const heldOut = parts.flatMap((part) => [...part.heldOut].slice(0, MEASURED));
    return { name: nameOfSources(sources), heldOut, batches: batchesOf(train) };
  } finally {
    for (const { close } of parts) close();
  }
}

/** Of an example, the size that it is learned at. */
interface Bucketed {
  picture: { bucketWidth: number; bucketHeight: number };
}

/** A few together, of one bucket each. */
function batchesOf(examples: Bucketed[]): Bucketed[][] {
  const groups = new Map<string, Bucketed[]>();
  for (const example of examples) {
    const name = `${example.picture.bucketWidth} ${example.picture.bucketHeight}`;
    groups.set(name, [...(groups.get(name) ?? []), example]);
  }
  return [...groups.values()].flatMap((group) =>
    Array.from({ length: Math.ceil(group.length / AT_ONCE) }, (_, i) => group.slice(i * AT_ONCE, (i + 1) * AT_ONCE)),
  );
}
