import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet';
import type { AsyncBuffer, FileMetaData, ParquetParsers, SchemaTree } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { UserError } from '../../engine/types.ts';
import type { Row } from '../types.ts';
import { datasetBytes } from './bytes.ts';
import { checkPages } from './parquet-pages.ts';
import { exactParsers, exactValues, rawDecimals } from './parquet-values.ts';
import { type FileRows } from './source.ts';

/** The largest row group, unpacked bytes: it is read at once. */
const MAX_GROUP = 2 ** 30;
const BATCH = 256;

/** Parquet, uncompressed or in any of its codecs but LZO, row group by row group; row numbers count from 1. */
export async function parquetFile(path: string): Promise<FileRows> {
  await datasetBytes(path);
  try {
    const file = await asyncBufferFromFile(path);
    const metadata = await metadataOf(file);
    for (const { total_byte_size } of metadata.row_groups)
      if (total_byte_size > MAX_GROUP)
        throw new Error(`a row group of ${total_byte_size} bytes, where ${MAX_GROUP} are read at most`);
    return { columns: parquetSchema(metadata).children.map(({ element }) => element.name), rows: () => rowsOf(path) };
  } catch (error) {
    throw refusal(path, error);
  }
}

/**
 * A file's footer, each row group's columns being the schema's: of one that isn't, the library notices while it reads the others, and
 * an error of theirs then belongs to nobody and ends the process.
 */
async function metadataOf(file: AsyncBuffer): Promise<FileMetaData> {
  const metadata = await parquetMetadataAsync(file, { geoparquet: false });
  const known = new Set(leavesOf(parquetSchema(metadata)));
  for (const { columns } of metadata.row_groups)
    for (const { meta_data: column } of columns)
      if (!column || !known.has(column.path_in_schema.join('\0'))) throw new Error('a column that its schema lacks');
  return metadata;
}

const leavesOf = ({ children, path }: SchemaTree): string[] =>
  children.length ? children.flatMap(leavesOf) : [path.join('\0')];

async function* rowsOf(path: string): AsyncGenerator<Row[]> {
  try {
    const file = await asyncBufferFromFile(path);
    const metadata = await metadataOf(file);
    const exact = exactValues(parquetSchema(metadata));
    rawDecimals(metadata);
    const options = { file, metadata, compressors, parsers: exactParsers as Partial<ParquetParsers> };
    let rowStart = 0;
    for (const group of metadata.row_groups) {
      const rowEnd = rowStart + Number(group.num_rows);
      await checkPages(file, metadata, group);
      const rows = await parquetReadObjects({ ...options, rowStart, rowEnd });
      for (let from = 0; from < rows.length; from += BATCH)
        yield rows
          .slice(from, from + BATCH)
          .map((fields, i) => ({ row: rowStart + from + i + 1, fields: exact(fields) as Row['fields'] }));
      rowStart = rowEnd;
    }
  } catch (error) {
    throw refusal(path, error);
  }
}

const refusal = (path: string, error: unknown) =>
  error instanceof UserError
    ? error
    : new UserError(
        `${path} can't be read as Parquet (${(error as Error).message}); write it again with smaller row groups or another codec, or as JSONL`,
      );
