import fsp from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../../engine/types.ts';

/** The words that name a split in a file's or folder's name, as Hugging Face's datasets reads them. */
const SPLITS: Record<string, string[]> = {
  train: ['train', 'training'],
  validation: ['validation', 'valid', 'val', 'dev'],
  test: ['test', 'testing', 'eval', 'evaluation'],
};
const MOST_FILES = 10_000;
const DEPTH = 4;

/** A dataset folder's files by split, in the order of their names. */
export type SplitFiles = Record<string, string[]>;

/**
 * The data files of a folder by split: a word between other characters than letters (`data/train-00000-of-00002.parquet`,
 * `test/a.jsonl`) names it; files that name none are for training.
 * @param isData whether a file's name is of a kind that is read
 * @throws UserError for a folder without such files, or of a kind that has to be written out first
 */
export async function splitsOfFolder(folder: string, isData: (name: string) => boolean): Promise<SplitFiles> {
  const names = await namesIn(folder, '', DEPTH);
  if (names.some((name) => path.basename(name) === 'dataset_info.json' || name.endsWith('.arrow')))
    throw new UserError(
      `${folder} was written by save_to_disk, whose Arrow files are not read; write it with to_parquet or to_json instead`,
    );
  const files = names.filter((name) => isData(name) && !isAbout(name)).sort();
  if (files.length === 0) throw new UserError(`${folder} holds no dataset; give a file, or a folder with data files`);
  const kinds = new Set(files.map((name) => path.extname(name)));
  if (kinds.size > 1)
    throw new UserError(`${folder} holds data files of several kinds (${[...kinds].join(', ')}); name one file of it`);
  const splits: SplitFiles = {};
  for (const name of files) (splits[splitOf(name)] ??= []).push(path.join(folder, name));
  return splits;
}

/** Files that lie beside a dataset's: what it is, not its rows. */
const isAbout = (name: string) => /^(readme|license|licence|notice|changelog)\b/i.test(path.basename(name));

function splitOf(name: string): string {
  const words = name.toLowerCase().split(/[^a-z]+/);
  return Object.keys(SPLITS).find((split) => words.some((word) => SPLITS[split]!.includes(word))) ?? 'train';
}

async function namesIn(folder: string, under: string, depth: number): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await fsp.readdir(path.join(folder, under), { withFileTypes: true })) {
    const name = path.join(under, entry.name);
    if (entry.name.startsWith('.')) continue;
    if (entry.isDirectory() && depth > 0) names.push(...(await namesIn(folder, name, depth - 1)));
    else if (entry.isFile()) names.push(name);
    if (names.length > MOST_FILES)
      throw new UserError(`${folder} holds more than ${MOST_FILES} files; name the folder of the dataset in it`);
  }
  return names;
}
