import { existsSync } from 'node:fs';
import type { Recipe } from '../../../src-preload/contract/index.ts';
import { describedIn } from '../adapters/folder.ts';
import type { DataOnStage } from '../stage/types.ts';
import type { Studio } from '../studio.ts';

/** A model named by path must lie inside the chosen folders; a plain name is resolved by the trainer. */
export async function checkReference(studio: Studio, reference: string): Promise<void> {
  if (/[/\\]/.test(reference) || reference.startsWith('.')) await studio.allowed.check(reference);
}

/** Every path a recipe names. */
export async function checkRecipe(studio: Studio, recipe: Recipe): Promise<void> {
  await checkReference(studio, recipe.model);
  const parts = typeof recipe.dataset === 'string' ? [recipe.dataset] : recipe.dataset.map((part) => part.path);
  for (const path of parts) await studio.allowed.check(path);
  const init = recipe['init'];
  if (typeof init === 'string') await studio.allowed.check(init);
}

/**
 * Data to measure on, read as the library says. What an adapter's training held out is read from the paths in its recipe: an imported one may name any.
 */
export async function checkedData(studio: Studio, data: DataOnStage, folders: string[]): Promise<DataOnStage> {
  if (data.path !== undefined)
    return { ...data, reading: studio.datasets.readingOf(await studio.allowed.check(data.path)) };
  for (const folder of folders) {
    const { dataset } = (await describedIn(folder)).recipe as Partial<Recipe>;
    const paths = typeof dataset === 'string' ? [dataset] : (dataset ?? []).map(({ path }) => path);
    for (const path of paths) if (existsSync(path)) await studio.allowed.check(path);
  }
  return data;
}
