import fsp from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../../engine/types.ts';
import type { Row } from '../types.ts';
import { unpackedName } from './bytes.ts';
import { splitsOfFolder } from './folder.ts';
import { jsonFile } from './json-file.ts';
import { parquetFile } from './parquet.ts';
import { separatedFile } from './separated.ts';
import { firstColumns, isBroken, type BrokenRow, type FileRows, type Note, type RowSource } from './source.ts';
import { textFile } from './text-documents.ts';

export { isBroken, type BrokenRow, type RowSource } from './source.ts';

const READERS: Record<string, (file: string, note: Note) => Promise<FileRows>> = {
  '.json': jsonFile,
  '.jsonl': jsonFile,
  '.ndjson': jsonFile,
  '.csv': separatedFile,
  '.tsv': separatedFile,
  '.parquet': parquetFile,
  '.txt': textFile,
  '.md': textFile,
};
/** Kinds that hold no packing of their own, so that they are read from `.gz` and `.zst`, too. */
const PACKABLE = Object.keys(READERS).filter((ending) => ending !== '.parquet');

/**
 * Opens a dataset by its file's ending, or a folder of such files: its columns are known, its rows come as they are asked for. Rows of
 * several files are numbered through.
 * @param split of a folder whose files name splits; default train
 * @throws UserError for a file that is missing, empty, of an unknown kind, or broken in every row; a folder without the split
 */
export async function openRows(place: string, split?: string): Promise<RowSource> {
  const notes: string[] = [];
  const note: Note = (sentence) => {
    if (!notes.includes(sentence)) notes.push(sentence);
  };
  const files = await filesOf(place, split, note);
  const parts: FileRows[] = [];
  for (const file of files) parts.push(await readerOf(file)(file, note));
  const rows = () => (parts.length === 1 ? parts[0]!.rows() : numberedThrough(parts));
  const found = await firstColumns(place, rows());
  const columns = parts.every((part) => part.columns) ? [...new Set(parts.flatMap((part) => part.columns!))] : found;
  return { columns, files, notes, rows };
}

async function filesOf(place: string, split: string | undefined, note: Note): Promise<string[]> {
  const stat = await fsp.stat(place).catch(() => undefined);
  if (!stat?.isDirectory()) {
    if (split !== undefined) throw new UserError(`${place} is one file and has no split "${split}"; leave split out`);
    return [place];
  }
  const splits = await splitsOfFolder(place, isData);
  const names = Object.keys(splits);
  const files = splits[split ?? 'train'];
  if (!files)
    throw new UserError(`${place} has no split "${split ?? 'train'}"; name one of ${names.join(', ')} with split`);
  const others = names.filter((name) => name !== (split ?? 'train'));
  if (others.length > 0) note(`${place}: the split ${split ?? 'train'} is read, not ${others.join(', ')}`);
  return files;
}

async function* numberedThrough(parts: FileRows[]): AsyncGenerator<(Row | BrokenRow)[]> {
  let row = 0;
  for (const part of parts) for await (const batch of part.rows()) yield batch.map((one) => ({ ...one, row: ++row }));
}

function isData(name: string): boolean {
  const unpacked = unpackedName(name);
  const ending = path.extname(unpacked).toLowerCase();
  return ending in READERS && (unpacked === name || PACKABLE.includes(ending));
}

function readerOf(file: string) {
  const read = READERS[path.extname(unpackedName(file)).toLowerCase()];
  if (read && isData(file)) return read;
  throw new UserError(
    `The dataset "${file}" is of no known kind; give one ending in ${Object.keys(READERS).join(', ')}, or one of them packed as .gz or .zst`,
  );
}

export interface Rows {
  rows: Row[];
  broken: BrokenRow[];
}

/** All of a dataset's rows at once. @throws UserError as `openRows` does */
export async function readRows(file: string): Promise<Rows> {
  const source = await openRows(file);
  const result: Rows = { rows: [], broken: [] };
  for await (const batch of source.rows())
    for (const row of batch)
      if (isBroken(row)) result.broken.push(row);
      else result.rows.push(row);
  return result;
}
