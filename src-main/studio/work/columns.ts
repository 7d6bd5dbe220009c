import { shortened } from '../../../src-preload/shortened.ts';
import type { DatasetColumns, MixPart } from '../../../src-preload/contract/index.ts';
import { FORMAT_FIELDS } from '../../data/columns.ts';
import { jsonText } from '../../data/formats/json-values.ts';
import { isBroken, type RowSource } from '../../data/formats/rows.ts';
import { openShown } from '../../data/look/shown-rows.ts';

/** Rows that are looked at for columns. */
const LOOKED_AT = 100;
const SHOWN_CHARACTERS = 120;

/** A file's columns, each with the first value it holds, and what each format wants. */
export async function columnsOfFile(part: Pick<MixPart, 'path' | 'sheet' | 'config'>): Promise<DatasetColumns> {
  const { source } = await openShown(part.path, part);
  const rows = await firstFields(source);
  const names = [...new Set(rows.flatMap((fields) => Object.keys(fields)))];
  const columns = names.map((name) => {
    const value = rows.map((fields) => fields[name]).find((one) => one !== undefined && one !== null && one !== '');
    const text = typeof value === 'string' ? value : value === undefined ? '' : jsonText(value);
    return { name, example: shortened(text, SHOWN_CHARACTERS) };
  });
  return { columns, sheet: source.sheet, sheets: source.sheets, formats: FORMAT_FIELDS };
}

async function firstFields(source: RowSource): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = [];
  for await (const batch of source.rows()) {
    for (const row of batch) if (!isBroken(row)) found.push(row.fields);
    if (found.length >= LOOKED_AT) break;
  }
  return found.slice(0, LOOKED_AT);
}
