import path from 'node:path';
import zlib from 'node:zlib';
import { asyncBufferFromFile, parquetReadObjects, type Compressors } from 'hyparquet';
import Papa from 'papaparse';
import { UserError } from '../../engine/types.ts';
import type { Row } from '../types.ts';
import { datasetBytes, readLines, readText } from './text-file.ts';

/** A row that can't be read, with the reason in a few words. */
export interface BrokenRow {
  row: number;
  reason: string;
}

export interface Rows {
  rows: Row[];
  broken: BrokenRow[];
}

type Fields = Record<string, unknown>;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function fromObjects(values: unknown[]): Rows {
  const result: Rows = { rows: [], broken: [] };
  values.forEach((fields, index) => {
    if (isObject(fields)) result.rows.push({ row: index + 1, fields });
    else result.broken.push({ row: index + 1, reason: 'not an object with named fields' });
  });
  return result;
}

/** JSON: an array of objects, or an object that holds one such array. */
async function json(file: string): Promise<Rows> {
  let value: unknown;
  try {
    value = JSON.parse(await readText(file));
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      `${file} is not valid JSON (${(error as Error).message}); if it holds one object a line, name it .jsonl`,
    );
  }
  const array = Array.isArray(value) ? value : isObject(value) ? Object.values(value).find(Array.isArray) : undefined;
  if (!array) throw new UserError(`${file} holds no list of examples; give a JSON array of objects`);
  return fromObjects(array);
}

/** JSONL: one object a line; row numbers are line numbers. */
async function jsonLines(file: string): Promise<Rows> {
  const result: Rows = { rows: [], broken: [] };
  let row = 0;
  for await (const line of readLines(file)) {
    row++;
    if (line.trim() === '') continue;
    try {
      const fields: unknown = JSON.parse(line);
      if (isObject(fields)) result.rows.push({ row, fields });
      else result.broken.push({ row, reason: 'not an object with named fields' });
    } catch {
      result.broken.push({ row, reason: 'not valid JSON' });
    }
  }
  return result;
}

/** CSV and TSV with a header line; row numbers are record numbers, the header being 1. */
async function separated(file: string): Promise<Rows> {
  const delimiter = file.toLowerCase().endsWith('.tsv') ? '\t' : '';
  const parsed = Papa.parse<string[]>(await readText(file), { delimiter, skipEmptyLines: 'greedy' });
  const [header, ...records] = parsed.data;
  if (!header || records.length === 0) throw new UserError(`${file} has no rows below its header line; add examples`);
  const names = header.map((name) => name.trim());
  const result: Rows = { rows: [], broken: [] };
  const quotes = new Set(parsed.errors.filter((error) => error.type === 'Quotes').map((error) => error.row));
  records.forEach((record, index) => {
    const row = index + 2;
    if (quotes.has(index + 1)) result.broken.push({ row, reason: 'a quotation mark is not closed' });
    else if (record.length !== names.length)
      result.broken.push({ row, reason: `${record.length} columns where the header has ${names.length}` });
    else result.rows.push({ row, fields: Object.fromEntries(names.map((name, i) => [name, record[i]])) });
  });
  return result;
}

/** What hyparquet leaves to others; an output longer than the page's header says is refused. */
const compressors: Compressors = {
  GZIP: (input, outputLength) => zlib.gunzipSync(input, { maxOutputLength: outputLength }),
  BROTLI: (input, outputLength) => zlib.brotliDecompressSync(input, { maxOutputLength: outputLength }),
};

/** Parquet, uncompressed or in snappy (hyparquet's own), gzip or brotli. */
async function parquet(file: string): Promise<Rows> {
  await datasetBytes(file);
  try {
    const source = await asyncBufferFromFile(file);
    return fromObjects((await parquetReadObjects({ file: source, compressors })).map(plainNumbers));
  } catch (error) {
    throw new UserError(
      `${file} can't be read as Parquet (${(error as Error).message}); save it uncompressed or with snappy or gzip, or as JSONL`,
    );
  }
}

/** Parquet's 64-bit integers arrive as bigint. */
function plainNumbers(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plainNumbers);
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, plainNumbers);
  return isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, v]) => [key, plainNumbers(v)])) : value;
}

/** Plain text: a document where blank lines end it; row numbers count documents. */
async function text(file: string): Promise<Rows> {
  const documents = (await readText(file)).split(/\r?\n\s*\r?\n/).map((document) => document.trim());
  return fromObjects(documents.filter((document) => document !== '').map((document) => ({ text: document })));
}

const READERS: Record<string, (file: string) => Promise<Rows>> = {
  '.json': json,
  '.jsonl': jsonLines,
  '.ndjson': jsonLines,
  '.csv': separated,
  '.tsv': separated,
  '.parquet': parquet,
  '.txt': text,
  '.md': text,
};

/**
 * Reads a dataset's rows by its file's ending. Broken rows are told apart, not fatal.
 * @throws UserError for a file that is missing, empty, of an unknown kind, or broken in every row
 */
export async function readRows(file: string): Promise<Rows> {
  const read = READERS[path.extname(file).toLowerCase()];
  if (!read)
    throw new UserError(
      `The dataset "${file}" is of no known kind; give one ending in ${Object.keys(READERS).join(', ')}`,
    );
  const result = await read(file);
  if (result.rows.length === 0) {
    const first = result.broken[0];
    throw new UserError(
      `The dataset "${file}" holds no usable row${first ? ` (row ${first.row}: ${first.reason})` : ''}; give at least one example`,
    );
  }
  return result;
}
