import { isBroken, openRows, type PlacePart } from '../formats/rows.ts';
import { textsOf } from './look.ts';

/** Some of a dataset's rows as a table shows them. */
export interface RowPage {
  columns: string[];
  rows: { row: number; values: string[]; reason?: string }[];
  /** rows that match, and all */
  matching: number;
  all: number;
}

export interface PageRequest {
  path: string;
  /** rows that hold all of these words, in whatever case */
  search: string;
  /** these rows alone */
  only?: number[];
  /** of the rows that match the first to give, from 0, and how many */
  from: number;
  count: number;
}

/** @throws UserError where the file can't be read */
export async function pageOf({ path, search, only, from, count }: PageRequest, part: PlacePart): Promise<RowPage> {
  const source = await openRows(path, part);
  const words = search.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const wanted = only && new Set(only);
  const page: RowPage = { columns: source.columns, rows: [], matching: 0, all: 0 };
  for await (const batch of source.rows())
    for (const row of batch) {
      page.all += 1;
      if (wanted && !wanted.has(row.row)) continue;
      const texts: Record<string, string> = isBroken(row) ? {} : textsOf(row.fields);
      const values = source.columns.map((column) => texts[column] ?? '');
      const all = words.length > 0 ? values.join('\n').toLocaleLowerCase() : '';
      if (!words.every((word) => all.includes(word))) continue;
      if (page.matching >= from && page.rows.length < count)
        page.rows.push({ row: row.row, values, reason: isBroken(row) ? row.reason : undefined });
      page.matching += 1;
    }
  return page;
}
