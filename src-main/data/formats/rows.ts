import path from 'node:path';
import { UserError } from '../../engine/types.ts';
import type { Row } from '../types.ts';
import { unpackedName } from './bytes.ts';
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
 * Opens a dataset by its file's ending: its columns are known, its rows come as they are asked for.
 * @throws UserError for a file that is missing, empty, of an unknown kind, or broken in every row
 */
export async function openRows(file: string): Promise<RowSource> {
  const notes: string[] = [];
  const note: Note = (sentence) => {
    if (!notes.includes(sentence)) notes.push(sentence);
  };
  const { columns, rows } = await readerOf(file)(file, note);
  const found = await firstColumns(file, rows());
  return { columns: columns ?? found, files: [file], notes, rows };
}

function readerOf(file: string) {
  const unpacked = unpackedName(file);
  const ending = path.extname(unpacked).toLowerCase();
  const read = READERS[ending];
  if (read && (unpacked === file || PACKABLE.includes(ending))) return read;
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
