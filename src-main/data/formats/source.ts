import { UserError } from '../../engine/types.ts';
import type { Row } from '../types.ts';

/** A row that can't be read, with the reason in a few words. */
export interface BrokenRow {
  row: number;
  reason: string;
}

/** Which part of what lies at a dataset's place. */
export interface PlacePart {
  /** of a folder whose files name splits; default train */
  split?: string;
  /** of a folder whose README.md names several configurations; default its default one */
  config?: string;
  /** of an Excel workbook; default the first that is not hidden and has rows */
  sheet?: string;
}

/** A dataset's rows, one batch after the other: memory stays bounded however large its files are. */
export interface RowSource {
  /** from the header or schema, else of the first rows that can be read */
  readonly columns: string[];
  /** the files it is made of, in their order */
  readonly files: string[];
  /** of an Excel workbook the sheet that is read, and all that it has */
  readonly sheet?: string;
  readonly sheets?: string[];
  /** of a folder the split that is read, and all that it has; the same of configurations that its README.md names */
  readonly split?: string;
  readonly splits?: string[];
  readonly config?: string;
  readonly configs?: string[];
  /** what was guessed about the files (an encoding), as sentences; complete once the rows were read */
  readonly notes: readonly string[];
  /** batches in file order, from the start at each call. @throws UserError where the rest can't be read */
  rows(): AsyncIterable<(Row | BrokenRow)[]>;
}

/** What reading one kind of file gives; `columns` where header or schema name them. */
export interface FileRows extends Pick<RowSource, 'sheet' | 'sheets'> {
  columns?: string[];
  rows(): AsyncIterable<(Row | BrokenRow)[]>;
}

/** Told what was guessed about a file. */
export type Note = (sentence: string) => void;

export const isBroken = (row: Row | BrokenRow): row is BrokenRow => 'reason' in row;

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A value as a row, which has to be an object. */
export function asRow(fields: unknown, row: number): Row | BrokenRow {
  return isObject(fields) ? { row, fields } : { row, reason: 'not an object with named fields' };
}

/** Rows that are looked at for columns. */
const LOOKED_AT = 100;

/**
 * Column names that occur in the first rows that can be read.
 * @throws UserError where there is no such row
 */
export async function firstColumns(name: string, rows: AsyncIterable<(Row | BrokenRow)[]>): Promise<string[]> {
  const columns = new Set<string>();
  let looked = 0;
  let firstBroken: BrokenRow | undefined;
  reading: for await (const batch of rows)
    for (const row of batch) {
      if (isBroken(row)) firstBroken ??= row;
      else {
        for (const column of Object.keys(row.fields)) columns.add(column);
        if (++looked === LOOKED_AT) break reading;
      }
    }
  if (looked > 0) return [...columns];
  const why = firstBroken ? ` (row ${firstBroken.row}: ${firstBroken.reason})` : '';
  throw new UserError(`The dataset "${name}" holds no usable row${why}; give at least one example`);
}
