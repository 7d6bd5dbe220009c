import fsp from 'node:fs/promises';
import path from 'node:path';
import { isAbout, kindOf, needsTable, PICTURE_KINDS } from '../../../src-preload/contract/uploads.ts';
import { UserError } from '../../engine/types.ts';
import { captionsOf } from './caption-names.ts';
import { configurationOf, type Configuration } from './dataset-card.ts';

/** The words that name a split in a file's or folder's name, as Hugging Face's datasets reads them. */
const SPLITS: Record<string, string[]> = {
  train: ['train', 'training'],
  validation: ['validation', 'valid', 'val', 'dev'],
  test: ['test', 'testing', 'eval', 'evaluation'],
};
const MOST_FILES = 10_000;
const DEPTH = 4;

/** A dataset folder's files by split, in the order of their names; its card may name configurations, each with splits of its own. */
export interface FolderSplits {
  splits: Record<string, string[]>;
  config?: string;
  configs?: string[];
}

/**
 * The data files of a folder by split: by what its card (README.md) says, else by a word between other characters than letters
 * (`data/train-00000-of-00002.parquet`, `test/a.jsonl`); files that name none are for training.
 * @param isData whether a file's name is of a kind that is read
 * @param config one of several configurations that the card names
 * @throws UserError for a folder without such files, or of a kind that has to be written out first
 */
export async function splitsOfFolder(
  folder: string,
  isData: (name: string) => boolean,
  config?: string,
): Promise<FolderSplits> {
  const { names, pictures } = await namesIn(folder);
  if (names.some((name) => path.basename(name) === 'dataset_info.json' || name.endsWith('.arrow')))
    throw new UserError(
      `${folder} was written by save_to_disk, whose Arrow files are not read; write it with to_parquet or to_json instead`,
    );
  const weights = names.find((name) => /^[^/\\]+\.(safetensors|gguf)$/i.test(name));
  if (weights) throw new UserError(`${folder} holds a model (${weights}), no dataset; give a folder with data files`);
  const files = names.filter((name) => isData(name) && !isAbout(path.basename(name))).sort();
  const captions = new Set(captionsOf(files, pictures));
  if (files.every((name) => captions.has(name)))
    throw new UserError(
      pictures.length > 0 ? needsTable(folder) : `${folder} holds no dataset; give a file, or a folder with data files`,
    );
  const chosen = await configurationOf(folder, config);
  const splits = chosen?.files ? splitsByCard(folder, chosen, files) : splitsByName(filesUnder(chosen, files));
  const kinds = new Set(Object.values(splits).flatMap((some) => some.map((name) => path.extname(name))));
  if (kinds.size > 1)
    throw new UserError(`${folder} holds data files of several kinds (${[...kinds].join(', ')}); name one file of it`);
  for (const split of Object.keys(splits)) splits[split] = splits[split]!.map((name) => path.join(folder, name));
  return { splits, config: chosen?.name, configs: chosen?.all };
}

function splitsByName(files: string[]): FolderSplits['splits'] {
  const splits: FolderSplits['splits'] = {};
  for (const name of files) (splits[splitOf(name)] ??= []).push(name);
  return splits;
}

/** Of a configuration that names a folder alone the files in it. */
function filesUnder(chosen: Configuration | undefined, files: string[]): string[] {
  if (chosen?.folder === undefined) return files;
  const start = path.join(chosen.folder, path.sep);
  return files.filter((name) => name.startsWith(start));
}

function splitsByCard(folder: string, { name, files: wanted }: Configuration, files: string[]): FolderSplits['splits'] {
  const splits: FolderSplits['splits'] = {};
  for (const { split, patterns } of wanted!) {
    const found = files.filter((file) => patterns.some((pattern) => globPattern(pattern).test(plain(file))));
    if (found.length === 0)
      throw new UserError(
        `${folder}: its README.md says that the split "${split}" of "${name}" is ${patterns.join(', ')}, and no such file of a known kind is there`,
      );
    splits[split] = [...(splits[split] ?? []), ...found];
  }
  return splits;
}

const plain = (file: string) => file.split(path.sep).join('/');

/** A pattern of a card: `*` is anything within a folder's or file's name, a double one any folders. */
const globPattern = (pattern: string) =>
  new RegExp(
    `^${pattern
      .split(/(\*\*\/|\*+|\?)/)
      .map((part) => GLOB[part] ?? part.replace(/[.+^${}()|[\]\\]/g, '\\$&'))
      .join('')}$`,
  );
const GLOB: Record<string, string> = { '**/': '(.*/)?', '**': '.*', '*': '[^/]*', '?': '[^/]' };

/** The split that words name: train where none does. */
export function splitOf(name: string): string {
  const words = name.toLowerCase().split(/[^a-z]+/);
  return Object.keys(SPLITS).find((split) => words.some((word) => SPLITS[split]!.includes(word))) ?? 'train';
}

/** The split that a folder's whole name is a word for. */
export const splitNamed = (name: string): string | undefined =>
  Object.keys(SPLITS).find((split) => SPLITS[split]!.includes(name.toLowerCase()));

/**
 * The names of a folder's files and of those in folders below it: pictures, and all others.
 * @param most others than pictures
 * @throws UserError for more of them
 */
export async function namesIn(
  folder: string,
  most = MOST_FILES,
  under = '',
  depth = DEPTH,
): Promise<{ names: string[]; pictures: string[] }> {
  const found = { names: [] as string[], pictures: [] as string[] };
  for (const entry of await fsp.readdir(path.join(folder, under), { withFileTypes: true })) {
    const name = path.join(under, entry.name);
    if (entry.name.startsWith('.')) continue;
    if (entry.isDirectory() && depth > 0) {
      const inside = await namesIn(folder, most, name, depth - 1);
      for (const one of inside.names) found.names.push(one);
      for (const one of inside.pictures) found.pictures.push(one);
    } else if (entry.isFile()) {
      if (PICTURE_KINDS.includes(kindOf(name))) found.pictures.push(name);
      else found.names.push(name);
    }
    if (found.names.length > most)
      throw new UserError(`${folder} holds more than ${most} files; name the folder of the dataset in it`);
  }
  return found;
}
