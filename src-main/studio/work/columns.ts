import { shortened } from '../../../src-preload/shortened.ts';
import type { DatasetColumns } from '../../../src-preload/contract/index.ts';
import { FORMAT_FIELDS } from '../../data/columns.ts';
import { isBroken, openRows } from '../../data/formats/rows.ts';

/** Rows that are looked at for columns. */
const LOOKED_AT = 100;
const SHOWN_CHARACTERS = 120;

/** A file's columns, each with the first value it holds, and what each format wants. */
export async function columnsOfFile(path: string): Promise<DatasetColumns> {
  const rows = await firstFields(path);
  const names = [...new Set(rows.flatMap((fields) => Object.keys(fields)))];
  const columns = names.map((name) => {
    const value = rows.map((fields) => fields[name]).find((one) => one !== undefined && one !== null && one !== '');
    const text = typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);
    return { name, example: shortened(text, SHOWN_CHARACTERS) };
  });
  return { columns, formats: FORMAT_FIELDS };
}

async function firstFields(path: string): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = [];
  for await (const batch of (await openRows(path)).rows()) {
    for (const row of batch) if (!isBroken(row)) found.push(row.fields);
    if (found.length >= LOOKED_AT) break;
  }
  return found.slice(0, LOOKED_AT);
}
