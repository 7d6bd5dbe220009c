import fsp from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../../engine/types.ts';
import type { Row } from '../types.ts';
import { unpackedName } from './bytes.ts';
import { excelFile } from './excel/excel.ts';
import { splitsOfFolder } from './folder.ts';
import { jsonFile } from './json-file.ts';
import { parquetFile } from './parquet.ts';
import { separatedFile } from './separated.ts';
import {
  firstColumns,
  isBroken,
  type BrokenRow,
  type FileRows,
  type Note,
  type PlacePart,
  type RowSource,
} from './source.ts';
import { textFile } from './text-documents.ts';

export { isBroken, type BrokenRow, type PlacePart, type RowSource } from './source.ts';

type Reader = (file: string, note: Note) => Promise<FileRows>;

const READERS: Record<string, Reader> = {
  '.json': jsonFile,
  '.jsonl': jsonFile,
  '.ndjson': jsonFile,
  '.csv': separatedFile,
  '.tsv': separatedFile,
  '.parquet': parquetFile,
  '.txt': textFile,
  '.md': textFile,
  '.xlsx': excelFile,
  '.xlsm': excelFile,
};
/** Kinds of workbooks whose sheets have names. */
const WORKBOOKS = ['.xlsx', '.xlsm'];
/** Kinds that hold no packing of their own, so that they are read from `.gz` and `.zst`, too. */
const PACKABLE = Object.keys(READERS).filter((ending) => ending !== '.parquet' && !WORKBOOKS.includes(ending));
/** Other kinds of tables, which the programs that write them can write as one of the kinds that are read. */
const TABLES = ['.xls', '.xlsb', '.ods', '.numbers'];

/**
 * Opens a dataset by its file's ending, or a folder of such files: its columns are known, its rows come as they are asked for. Rows of
 * several files are numbered through.
 * @throws UserError for a file that is missing, empty, of an unknown kind, or broken in every row; a folder without the split
 */
export async function openRows(place: string, { split, sheet }: PlacePart = {}): Promise<RowSource> {
  const notes: string[] = [];
  const note: Note = (sentence) => {
    if (!notes.includes(sentence)) notes.push(sentence);
  };
  const files = await filesOf(place, split, note);
  const parts: FileRows[] = [];
  for (const file of files) parts.push(await readerOf(file, sheet)(file, note));
  const rows = () => (parts.length === 1 ? parts[0]!.rows() : numberedThrough(parts));
  const found = await firstColumns(place, rows());
  const columns = parts.every((part) => part.columns) ? [...new Set(parts.flatMap((part) => part.columns!))] : found;
  return { columns, files, notes, sheet: parts[0]!.sheet, sheets: parts[0]!.sheets, rows };
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

function readerOf(file: string, sheet?: string): Reader {
  const ending = path.extname(unpackedName(file)).toLowerCase();
  if (TABLES.includes(ending))
    throw new UserError(`The dataset "${file}" is a table of a kind that is not read; save it as .xlsx or CSV`);
  const read = READERS[ending];
  if (!read || !isData(file))
    throw new UserError(
      `The dataset "${file}" is of no known kind; give one ending in ${Object.keys(READERS).join(', ')}, or ${PACKABLE.join(', ')} packed as .gz or .zst`,
    );
  if (sheet === undefined) return read;
  if (WORKBOOKS.includes(ending)) return (workbook, note) => excelFile(workbook, note, sheet);
  throw new UserError(`${file} is no Excel workbook and has no sheet "${sheet}"; leave sheet out`);
}

export interface Rows {
  rows: Row[];
  broken: BrokenRow[];
}

/** All of a dataset's rows at once. @throws UserError as `openRows` does */
export async function readRows(file: string, part: PlacePart = {}): Promise<Rows> {
  const source = await openRows(file, part);
  const result: Rows = { rows: [], broken: [] };
  for await (const batch of source.rows())
    for (const row of batch)
      if (isBroken(row)) result.broken.push(row);
      else result.rows.push(row);
  return result;
}
