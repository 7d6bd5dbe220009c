import fsp from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../../engine/types.ts';
import type { Row } from '../types.ts';
import { unpackedName } from './bytes.ts';
import { splitOf, splitsOfFolder } from './folder.ts';
import {
  firstColumns,
  isBroken,
  type BrokenRow,
  type FileRows,
  type Note,
  type PlacePart,
  type RowSource,
} from './source.ts';

export { isBroken, type BrokenRow, type PlacePart, type RowSource } from './source.ts';

type Reader = (file: string, note: Note, sheet?: string) => Promise<FileRows>;

/** Each kind with its module, which brings along what it needs: a file loads no other kind's. */
const json = async (): Promise<Reader> => (await import('./json-file.ts')).jsonFile;
const separated = async (): Promise<Reader> => (await import('./separated.ts')).separatedFile;
const text = async (): Promise<Reader> => (await import('./text-documents.ts')).textFile;
const excel = async (): Promise<Reader> => (await import('./excel/excel.ts')).excelFile;
const READERS: Record<string, () => Promise<Reader>> = {
  '.json': json,
  '.jsonl': json,
  '.ndjson': json,
  '.csv': separated,
  '.tsv': separated,
  '.parquet': async () => (await import('./parquet.ts')).parquetFile,
  '.txt': text,
  '.md': text,
  '.xlsx': excel,
  '.xlsm': excel,
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
 * @param part which split, configuration or sheet
 * @throws UserError for a file that is missing, empty, of an unknown kind, or broken in every row; a folder without the split
 */
export async function openRows(place: string, part: PlacePart = {}): Promise<RowSource> {
  const notes: string[] = [];
  const note: Note = (sentence) => {
    if (!notes.includes(sentence)) notes.push(sentence);
  };
  const { files, ...chosen } = await filesOf(place, part, note);
  const parts: FileRows[] = [];
  for (const file of files) {
    const read = await readerOf(file, part.sheet)();
    parts.push(await read(file, note, part.sheet));
  }
  const rows = () => (parts.length === 1 ? parts[0]!.rows() : numberedThrough(parts));
  const found = await firstColumns(place, rows());
  const columns = parts.every((one) => one.columns) ? [...new Set(parts.flatMap((one) => one.columns!))] : found;
  return { columns, files, notes, ...chosen, sheet: parts[0]!.sheet, sheets: parts[0]!.sheets, rows };
}

/** What of a place is read, and what else it offers. */
type Chosen = Pick<RowSource, 'files' | 'split' | 'splits' | 'config' | 'configs'>;

async function filesOf(place: string, part: PlacePart, note: Note): Promise<Chosen> {
  const stat = await fsp.stat(place).catch(() => undefined);
  if (!stat?.isDirectory()) {
    for (const name of ['split', 'config'] as const)
      if (part[name] !== undefined) throw new UserError(`${place} is one file and has no ${name} "${part[name]}"; leave ${name} out`); // prettier-ignore
    return { files: [place] };
  }
  const { splits: bySplit, config, configs } = await splitsOfFolder(place, isData, part.config);
  const splits = Object.keys(bySplit);
  const training = splits.filter((name) => splitOf(name) === 'train');
  const split = part.split ?? (training.length === 1 ? training[0]! : 'train');
  const files = bySplit[split];
  if (!files) throw new UserError(`${place} has no split "${split}"; name one of ${splits.join(', ')} with split`);
  const others = splits.filter((name) => name !== split);
  if (others.length > 0) note(`${place}: the split ${split} is read, not ${others.join(', ')}`);
  if (configs && configs.length > 1 && part.config === undefined)
    note(`${place}: the configuration "${config}" is read, of ${configs.join(', ')}; another is named with config`);
  return { files, split, splits, config, configs };
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

function readerOf(file: string, sheet?: string): () => Promise<Reader> {
  const ending = path.extname(unpackedName(file)).toLowerCase();
  if (TABLES.includes(ending))
    throw new UserError(`The dataset "${file}" is a table of a kind that is not read; save it as .xlsx or CSV`);
  const read = READERS[ending];
  if (!read || !isData(file))
    throw new UserError(
      `The dataset "${file}" is of no known kind; give one ending in ${Object.keys(READERS).join(', ')}, or ${PACKABLE.join(', ')} packed as .gz or .zst`,
    );
  if (sheet === undefined || WORKBOOKS.includes(ending)) return read;
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

/** Where the names in rows begin: the folder that holds all of the dataset's files. */
export function commonFolder(files: string[]): string {
  const folders = files.map((file) => path.dirname(path.resolve(file)).split(path.sep));
  const length = folders[0]!.findIndex((name, i) => folders.some((folder) => folder[i] !== name));
  return folders[0]!.slice(0, length < 0 ? undefined : length).join(path.sep) || path.sep;
}
