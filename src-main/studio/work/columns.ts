import type { DatasetColumns } from '../../../src-preload/contract/index.ts';
import { FORMAT_FIELDS } from '../../data/columns.ts';
import { readRows } from '../../data/formats/rows.ts';

/** Rows that are looked at for columns. */
const LOOKED_AT = 100;
const SHOWN_CHARACTERS = 120;

/** A file's columns, each with the first value it holds, and what each format wants. */
export async function columnsOfFile(path: string): Promise<DatasetColumns> {
  const rows = (await readRows(path)).rows.slice(0, LOOKED_AT).map(({ fields }) => fields);
  const names = [...new Set(rows.flatMap((fields) => Object.keys(fields)))];
  const columns = names.map((name) => {
    const value = rows.map((fields) => fields[name]).find((one) => one !== undefined && one !== null && one !== '');
    const text = typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);
    return { name, example: text.slice(0, SHOWN_CHARACTERS) };
  });
  return { columns, formats: FORMAT_FIELDS };
}
