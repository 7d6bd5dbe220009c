import fsp from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { openAnyRows } from '../data/captions.ts';
import { heldOutSplitOf } from '../data/held-out.ts';
import { contentSha256 } from '../data/prepared/content.ts';
import { UserError } from '../engine/types.ts';
import type { Recipe } from '../recipe/recipe.ts';
import type { RunData } from '../tasks/task.ts';
import { writeAtomic } from './atomic.ts';

/** Of a run's folder: which data the run began with, so that it is not resumed on other data unnoticed. */
const FILE = 'datasets.json';
const schema = z.object({
  datasets: z.array(z.object({ path: z.string(), sha256: z.string() })),
  /** of each dataset, and of the splits that are held out, what was read: pictures that its rows name, too */
  read: z.array(z.string()).optional(),
  /** other data is taken when the run is resumed, because somebody wants it */
  acceptsChanges: z.boolean().default(false),
});
export type RunDatasets = z.input<typeof schema>;

/** How the refusal of changed data reads, to tell it from others. */
export const DATA_CHANGED = 'has changed since this run began';

/**
 * Compares a run's data with what it began with.
 * @throws UserError when it has changed and nobody has said that the run is to go on with it
 */
export async function checkDatasets(folder: string, now: RunDatasets, log: (line: string) => void): Promise<void> {
  const known = await readKnown(folder);
  if (!known) return log('Which data this run began with is not known: it goes on with what its files hold now');
  const changed = now.datasets.filter(({ sha256 }, i) => known.datasets[i]?.sha256 !== sha256);
  if (changed.length === 0) return;
  const names = changed.map(({ path: file }) => file).join(', ');
  if (known.acceptsChanges) return log(`${names} ${DATA_CHANGED}: it goes on with the changed data, as it was told`);
  throw new UserError(
    `${names} ${DATA_CHANGED}, and what it learns would be of two datasets. Put the file back as it was, start a new run, or go on with the changed data: --resume --accept-changed-data, or in the studio its button`,
  );
}

/** The hashes of what was read; undefined where a run begins before all is. */
export function readHashes({ datasets, separate, growing }: Pick<RunData, 'datasets' | 'separate' | 'growing'>) {
  const held = separate.filter((split) => split !== undefined);
  return growing ? undefined : [...datasets, ...held].map(({ sha256 }) => sha256);
}

/** Compares what a resumed run has read with what it began with. @throws UserError as `checkDatasets` does */
export async function checkRead(folder: string, read: string[] | undefined, names: string[]): Promise<void> {
  const known = await readKnown(folder);
  if (!known?.read || !read || known.acceptsChanges || known.read.join() === read.join()) return;
  throw new UserError(
    `A picture of ${names.join(', ')} ${DATA_CHANGED}, and what it learns would be of two datasets. Put it back as it was, start a new run, or go on with the changed data: --resume --accept-changed-data, or in the studio its button`,
  );
}

/** Keeps which data a run has begun with, or goes on with. */
export async function writeDatasets(folder: string, datasets: RunDatasets): Promise<void> {
  await writeAtomic(path.join(folder, FILE), JSON.stringify(datasets));
}

/** The next time the run is resumed, it takes its data as it is. */
export async function acceptChangedData(folder: string): Promise<void> {
  const known = await readKnown(folder);
  if (known) await writeDatasets(folder, { ...known, acceptsChanges: true });
}

async function readKnown(folder: string) {
  const text = await fsp.readFile(path.join(folder, FILE), 'utf8').catch(() => '');
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Which data a recipe's files hold now: its datasets', then that of the splits that are held out. @throws UserError when one can't be read */
export async function datasetsNow({ dataset, training }: Pick<Recipe, 'dataset' | 'training'>): Promise<RunDatasets> {
  const datasets: RunDatasets['datasets'] = [];
  const heldOut: RunDatasets['datasets'] = [];
  const filesNow = async (source: Recipe['dataset'][number]) => {
    const rows = await openAnyRows(source.path, source);
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
