import { basename } from 'node:path';
import type { DatasetOptions, DatasetSource, PreparedExample } from '../../data/dataset.ts';
import type { AdapterDescription } from '../../effilora/adapter-schema.ts';
import { UserError } from '../../engine/types.ts';
import { exportData } from '../../exports/data.ts';
import { pictureData } from '../../exports/diffusion/data.ts';
import type { DiffusionModelFile } from '../../models/diffusion/model-file.ts';
import type { ModelFile } from '../../models/types.ts';
import { readingOfPictures } from '../../recipe/diffusion.ts';
import { readingOptions } from '../../data/reading-options.ts';
import { taskOf } from '../../tasks/registry.ts';
import type { DataOnStage } from './types.ts';

export interface ExamplesOnStage {
  name: string;
  examples: PreparedExample[];
  options: DatasetOptions;
}

/**
 * The examples to measure on: a dataset's first ones, or what the adapter's training held out.
 * @throws UserError when neither is there
 */
export async function examplesOnStage(
  file: ModelFile,
  { path, reading, examples: most }: DataOnStage,
  description?: AdapterDescription,
): Promise<ExamplesOnStage> {
  const options = readingOptions(file);
  if (path !== undefined) {
    return { name: basename(path), examples: await firstExamples(file, { path, ...reading }, most, options), options };
  }
  const data = description && (await exportData(file, description));
  if (!data || data.heldOut.length === 0)
    throw new UserError("The adapter's training data is not there any more. Choose a dataset to measure on.");
  return { name: `${data.name}, held out`, examples: data.heldOut.slice(0, most), options };
}

/** The same of pictures: read as the adapter's recipe read them. @throws UserError when neither is there */
export async function picturesOnStage(
  file: DiffusionModelFile,
  { path, reading, examples: most }: DataOnStage,
  description: AdapterDescription,
): Promise<{ name: string; examples: unknown[] }> {
  if (path === undefined) {
    const data = await pictureData({ description }, file);
    if (!data || data.heldOut.length === 0)
      throw new UserError("The adapter's training data is not there any more. Choose a dataset to measure on.");
    return { name: `${data.name}, held out`, examples: data.heldOut.slice(0, most) };
  }
  const task = taskOf(file);
  const options = task.reading(file, { pictures: readingOfPictures(description.recipe) });
  const { examples, close } = await task.dataset({ path, ...reading }, 0, file, options);
  try {
    return { name: basename(path), examples: [...examples].slice(0, most) };
  } finally {
    close();
  }
}

async function firstExamples(
  file: ModelFile,
  source: DatasetSource,
  most: number,
  options: DatasetOptions,
): Promise<PreparedExample[]> {
  const { examples, close } = await taskOf(file).dataset(source, 0, file, options);
  try {
    const count = Math.min(most, examples.count);
    return Array.from({ length: count }, (_, index) => ({ ...(examples.read(index) as PreparedExample) }));
  } finally {
    close();
  }
}
