import { exactInteger } from '../json-values.ts';
import { dateText } from './dates.ts';
import { RichText, unescaped, type Workbook } from './workbook.ts';
import { scannedXml, type XmlHandlers } from './xml.ts';

/** A cell that no value can be read from, with the reason in a few words. */
export class BrokenCell {
  constructor(readonly reason: string) {}
}

/** Cells by column, from 0; a hole where there is none. */
export interface SheetRow {
  /** as the sheet counts it, from 1 */
  row: number;
  cells: unknown[];
}

/** Columns that a sheet has at most. */
const MOST_COLUMNS = 16_384;
const MOST_ROWS = 1_048_576;

/**
 * A sheet's rows that hold something, in batches, as they come out of its part.
 * @param merged told of every range of merged cells
 * @throws Error where the sheet is damaged
 */
export async function* sheetRows(
  text: AsyncIterable<string>,
  workbook: Pick<Workbook, 'dateStyles' | 'from1904'>,
  strings: string[],
  merged: () => void = () => {},
): AsyncGenerator<SheetRow[]> {
  const rows: SheetRow[] = [];
  let row: SheetRow = { row: 0, cells: [] };
  let cell: { type?: string; style?: string } = {};
  let column = -1;
  let written: string[] = [];
  let isValue = false;
  const inline = new RichText();
  const handlers: XmlHandlers = {
    open(name, attributes) {
      if (name === 'row') {
        row = { row: rowNumber(attributes.r, row.row), cells: [] };
        column = -1;
      } else if (name === 'c') {
        column = columnNumber(attributes.r, column);
        cell = { type: attributes.t, style: attributes.s };
        written = [];
        inline.begin();
      } else if (name === 'v') isValue = true;
      else if (name === 'mergeCell') merged();
      else inline.open(name);
    },
    text(piece) {
      if (isValue) written.push(piece);
      else inline.text(piece);
    },
    close(name) {
      if (name === 'v') isValue = false;
      else if (name === 'c') {
        const value = cell.type === 'inlineStr' ? inline.end() : cellValue(written.join(''), cell, workbook, strings);
        if (value !== undefined) row.cells[column] = value;
      } else if (name === 'row') {
        if (row.cells.some(holdsSomething)) rows.push(row);
      } else inline.close(name);
    },
  };
  for await (const batch of scannedXml(text, handlers, () => rows.splice(0))) if (batch.length > 0) yield batch;
}

const holdsSomething = (value: unknown) => typeof value !== 'string' || value.trim() !== '';

/** The row's own number, which grows; of one without, the next. */
function rowNumber(text: string | undefined, before: number): number {
  const number = text === undefined ? before + 1 : Number(text);
  if (Number.isInteger(number) && number > before && number <= MOST_ROWS) return number;
  throw new Error(`its row "${text}" stands behind row ${before}`);
}

/** A cell's column by its address (B7), from 0; of one without, the next. */
function columnNumber(address: string | undefined, before: number): number {
  let number = before + 1;
  if (address !== undefined) {
    const [letters = ''] = /^[A-Z]{1,3}(?=\d+$)/.exec(address) ?? [];
    number = letters.split('').reduce((sum, letter) => 26 * sum + letter.charCodeAt(0) - 64, 0) - 1;
  }
  if (number >= 0 && number < MOST_COLUMNS) return number;
  throw new Error(`it has a cell at "${address}"`);
}

/** What a cell holds; undefined for nothing, a BrokenCell where no value stands for it. */
function cellValue(
  text: string,
  { type = 'n', style }: { type?: string; style?: string },
  { dateStyles, from1904 }: Pick<Workbook, 'dateStyles' | 'from1904'>,
  strings: string[],
): unknown {
  if (text === '') return undefined;
  if (type === 's') return shared(text, strings);
  if (type === 'str') return unescaped(text);
  if (type === 'b') return text === '1' || text === 'true';
  if (type === 'e') return new BrokenCell(`the error ${text}`);
  if (type === 'd') return text;
  if (type !== 'n') throw new Error(`it has a cell of the type "${type}"`);
  const number = Number(text);
  if (!Number.isFinite(number)) throw new Error(`it has a number "${text.slice(0, 40)}"`);
  const kind = style === undefined ? undefined : dateStyles[Number(style)];
  if (kind) return dateText(number, kind, from1904) ?? new BrokenCell(`${text}, which is no date`);
  return /^-?\d+$/.test(text) ? exactInteger(BigInt(text)) : number;
}

function shared(text: string, strings: string[]): string {
  const string = strings[Number(text)];
  if (string !== undefined) return string;
  throw new Error(`it has no text ${text}`);
}
