import { isBroken, type PlacePart } from '../formats/rows.ts';
import { picturesIn, type PictureSource } from '../picture-rows.ts';
import { textsOf } from './look.ts';
import { openShown } from './shown-rows.ts';

/** Some of a dataset's rows as a table shows them. */
export interface RowPage {
  columns: string[];
  rows: RowOfPage[];
  /** rows that match, and all */
  matching: number;
  all: number;
}

export interface RowOfPage {
  row: number;
  values: string[];
  reason?: string;
  /** what it names or holds, and what is wrong with them */
  pictures: { name: string; source: PictureSource }[];
  problem?: string;
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
export async function pageOf(
  { path, search, only, from, count }: PageRequest,
  part: PlacePart,
): Promise<RowPage & { folder: string }> {
  const { source, folder } = await openShown(path, part);
  const words = search.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const wanted = only && new Set(only);
  const page = { folder, columns: source.columns, rows: [] as RowOfPage[], matching: 0, all: 0 };
  for await (const batch of source.rows())
    for (const row of batch) {
      page.all += 1;
      if (wanted && !wanted.has(row.row)) continue;
      const texts: Record<string, string> = isBroken(row) ? {} : textsOf(row.fields);
      const values = source.columns.map((column) => texts[column] ?? '');
      const all = words.length > 0 ? values.join('\n').toLocaleLowerCase() : '';
      if (!words.every((word) => all.includes(word))) continue;
      if (page.matching >= from && page.rows.length < count)
        page.rows.push(isBroken(row) ? { row: row.row, values, reason: row.reason, pictures: [] } : { row: row.row, values, ...picturesIn(row, source.columns, folder) }); // prettier-ignore
      page.matching += 1;
    }
  return page;
}
