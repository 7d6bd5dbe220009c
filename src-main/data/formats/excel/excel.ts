import { UserError } from '../../../engine/types.ts';
import type { Row } from '../../types.ts';
import { jsonText } from '../json-values.ts';
import type { BrokenRow, FileRows, Note } from '../source.ts';
import { openParts, type Parts } from './parts.ts';
import { BrokenCell, sheetRows, type SheetRow } from './sheet-rows.ts';
import { readSharedStrings, readWorkbook, type Sheet, type Workbook } from './workbook.ts';

/** Rows that are looked at for columns. */
const LOOKED_AT = 100;

/**
 * One sheet of an Excel workbook: its first row that holds something names the columns, row numbers are the sheet's own.
 * @param name of the sheet; default the first that is not hidden and has rows
 */
export async function excelFile(path: string, note: Note, name?: string): Promise<FileRows> {
  const parts = await partsOf(path);
  try {
    const workbook = await readWorkbook(parts);
    const { sheet, columns } = await chosenSheet(path, parts, workbook, name);
    const sheets = workbook.sheets.map((one) => one.name);
    const others = sheets.filter((one) => one !== sheet.name).map((one) => `"${one}"`);
    if (name === undefined && others.length > 0)
      note(`${path}: the sheet "${sheet.name}" is read, not ${others.join(', ')}; another is named with sheet`);
    return { columns, sheet: sheet.name, sheets, rows: () => rowsOf(path, sheet.name, note) };
  } catch (error) {
    throw refusal(path, error);
  } finally {
    parts.close();
  }
}

async function chosenSheet(path: string, parts: Parts, workbook: Workbook, name?: string) {
  const strings = await stringsOf(parts, workbook);
  const shown = workbook.sheets.filter(({ isHidden }) => !isHidden);
  for (const sheet of name === undefined ? shown : [sheetNamed(path, workbook.sheets, name)]) {
    const columns = await columnsOf(path, sheetRows(parts.text(sheet.part), workbook, strings));
    if (columns) return { sheet, columns };
  }
  const which = name === undefined ? 'no sheet with' : `in its sheet "${name}" no`;
  throw new UserError(`${path} has ${which} rows below a header line; add examples, or name another sheet with sheet`);
}

/** Names of the columns that the header line or one of the first rows has; undefined where no row follows the header. */
async function columnsOf(path: string, batches: AsyncIterable<SheetRow[]>): Promise<string[] | undefined> {
  let names: ColumnNames | undefined;
  const columns = new Set<string>();
  let rows = 0;
  for await (const batch of batches) {
    if (!names) {
      names = columnNames(path, batch.shift()!);
      names.forEach((name) => columns.add(name));
    }
    for (const { cells } of batch)
      for (const i of Object.keys(cells)) columns.add(names[Number(i)] ?? unnamed(Number(i)));
    rows += batch.length;
    if (rows >= LOOKED_AT) break;
  }
  return rows > 0 ? [...columns] : undefined;
}

function sheetNamed(path: string, sheets: Sheet[], name: string): Sheet {
  const sheet = sheets.find((one) => one.name === name);
  if (sheet) return sheet;
  const names = sheets.map((one) => `"${one.name}"`).join(', ');
  throw new UserError(`${path} has no sheet "${name}"; name one of ${names}`);
}

const stringsOf = async (parts: Parts, { sharedStrings: part }: Workbook): Promise<string[]> =>
  part !== undefined && parts.has(part) ? readSharedStrings(parts.text(part)) : [];

async function* rowsOf(path: string, name: string, note: Note): AsyncGenerator<(Row | BrokenRow)[]> {
  const parts = await partsOf(path);
  try {
    const workbook = await readWorkbook(parts);
    const strings = await stringsOf(parts, workbook);
    let isMerged = false;
    const cells = parts.text(sheetNamed(path, workbook.sheets, name).part);
    let names: ColumnNames | undefined;
    for await (const batch of sheetRows(cells, workbook, strings, () => (isMerged = true))) {
      names ??= columnNames(path, batch.shift()!);
      yield batch.map((row) => fieldsOf(row, names!));
    }
    if (isMerged)
      note(`${path}: the sheet "${name}" has merged cells; each has its value in its first row and column alone`);
  } catch (error) {
    throw refusal(path, error);
  } finally {
    parts.close();
  }
}

/** By column, from 0; a hole where the header line has no cell. */
type ColumnNames = string[];

function columnNames(path: string, { cells }: SheetRow): ColumnNames {
  const names: string[] = [];
  const known = new Set<string>();
  cells.forEach((value, i) => {
    const name = nameOf(value) || unnamed(i);
    if (known.has(name))
      throw new UserError(`${path} has two columns named "${name}"; give each a name of its own in the header line`);
    known.add(name);
    names[i] = name;
  });
  return names;
}

function nameOf(value: unknown): string {
  if (value instanceof BrokenCell || value === undefined) return '';
  return (typeof value === 'string' ? value : jsonText(value)).trim();
}

/** A column that the header line doesn't name. */
function unnamed(column: number): string {
  let letters = '';
  for (let rest = column + 1; rest > 0; rest = Math.floor((rest - 1) / 26))
    letters = String.fromCharCode(65 + ((rest - 1) % 26)) + letters;
  return `column ${letters}`;
}

function fieldsOf({ row, cells }: SheetRow, names: ColumnNames): Row | BrokenRow {
  const fields: [string, unknown][] = [];
  for (const [i, value] of Object.entries(cells)) {
    const name = names[Number(i)] ?? unnamed(Number(i));
    if (value instanceof BrokenCell) return { row, reason: `its ${name} holds ${value.reason}` };
    fields.push([name, value]);
  }
  return { row, fields: Object.fromEntries(fields) };
}

const partsOf = (path: string): Promise<Parts> =>
  openParts(path).catch((error: unknown) => {
    throw refusal(path, error);
  });

const refusal = (path: string, error: unknown) =>
  error instanceof UserError
    ? error
    : new UserError(`${path} can't be read as an Excel workbook (${(error as Error).message}); save it anew as .xlsx, or as CSV`); // prettier-ignore
