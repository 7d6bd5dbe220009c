import Papa from 'papaparse';
import { UserError } from '../../engine/types.ts';
import type { Row } from '../types.ts';
import { guessDelimiter } from './delimiter.ts';
import type { BrokenRow, FileRows, Note } from './source.ts';
import { decodedText } from './text-file.ts';

/** Characters at a file's beginning that its delimiter is guessed from. */
const LOOKED_AT = 2 ** 16;
/** The longest record, characters: a quotation mark that is never closed would take in all that follows. */
const MAX_RECORD = 2 ** 24;

interface CsvRecord {
  fields: string[];
  isBroken: boolean;
}

/** CSV and TSV with a header line; row numbers are record numbers, the header being 1. */
export async function separatedFile(path: string, note: Note): Promise<FileRows> {
  const start = await beginning(path);
  const newline = !start.includes('\n') && start.includes('\r') ? '\r' : '\n';
  const declared = /^sep=([^\r\n])\r?\n/i.exec(start)?.[1];
  const delimiter = declared ?? (/\.tsv(\.|$)/i.test(path) ? '\t' : guessDelimiter(start, newline));
  const all = (): AsyncGenerator<CsvRecord[]> => recordsOf(decodedText(path, note), delimiter, newline);
  const records = () => (declared === undefined ? all() : withoutFirst(all()));
  const header = await headerOf(records());
  if (!header) throw new UserError(`${path} has no rows below its header line; add examples`);
  checkHeader(header, path);
  return { columns: header, rows: () => rowsOf(records(), header) };
}

/** The file's first whole records, and no more of it. */
async function beginning(path: string): Promise<string> {
  let text = '';
  for await (const part of decodedText(path, () => {})) {
    text += part;
    if (text.length >= LOOKED_AT) return text.slice(0, Math.max(text.lastIndexOf('\n'), 1)).replace(/^\ufeff/, '');
  }
  return text.replace(/^\ufeff/, '');
}

/** Without the line `sep=;` that Excel writes above the header. */
async function* withoutFirst(batches: AsyncGenerator<CsvRecord[]>): AsyncGenerator<CsvRecord[]> {
  let isFirst = true;
  for await (const batch of batches) {
    if (isFirst && batch.length > 0) {
      yield batch.slice(1);
      isFirst = false;
    } else yield batch;
  }
}

/** The column names; undefined where no record follows them. */
async function headerOf(batches: AsyncIterable<CsvRecord[]>): Promise<string[] | undefined> {
  let header: string[] | undefined;
  for await (const batch of batches)
    for (const { fields } of batch) {
      if (header) return header;
      header = fields.map((name) => name.trim());
    }
  return undefined;
}

function checkHeader(header: string[], path: string): void {
  const twice = header.find((name, i) => name !== '' && header.indexOf(name) !== i);
  if (twice !== undefined)
    throw new UserError(`${path} has two columns named "${twice}"; give each a name of its own in the header line`);
}

async function* rowsOf(batches: AsyncIterable<CsvRecord[]>, names: string[]): AsyncGenerator<(Row | BrokenRow)[]> {
  let row = 0;
  for await (const batch of batches) {
    const rows: (Row | BrokenRow)[] = [];
    for (const { fields, isBroken } of batch) {
      row++;
      if (row === 1) continue;
      if (isBroken) rows.push({ row, reason: 'a quotation mark is not closed' });
      else if (fields.length !== names.length)
        rows.push({ row, reason: `${fields.length} columns where the header has ${names.length}` });
      else rows.push({ row, fields: Object.fromEntries(names.map((name, i) => [name, fields[i]])) });
    }
    yield rows;
  }
}

/** The records of separated text that are not blank. One whose quotes don't fit is broken; reading goes on in the line behind its first. */
async function* recordsOf(
  parts: AsyncIterable<string>,
  delimiter: string,
  newline: '\n' | '\r',
): AsyncGenerator<CsvRecord[]> {
  let rest = '';
  /** shorter than this, a record that goes on is not tried again */
  let enough = 0;
  let isStart = true;
  for await (const part of parts) {
    rest += isStart ? part.replace(/^\ufeff/, '') : part;
    isStart &&= part === '';
    if (rest.length < enough) continue;
    const { records, read } = parsed(rest, delimiter, newline, true);
    rest = rest.slice(read);
    if (rest.length > MAX_RECORD) {
      records.push({ fields: [], isBroken: true });
      rest = rest.slice(lineEnd(rest, newline));
    }
    enough = 2 * rest.length;
    if (records.length > 0) yield records;
  }
  yield parsed(rest, delimiter, newline, false).records;
}

/** Whole records at the start of `text`, and how many characters they take. */
function parsed(text: string, delimiter: string, newline: '\n' | '\r', goesOn: boolean) {
  const records: CsvRecord[] = [];
  let read = 0;
  let isDone = false;
  while (!isDone && read < text.length) {
    isDone = true;
    const start = read;
    const rest = start === 0 ? text : text.slice(start);
    const parser = new Papa.Parser({
      ...{ delimiter, newline },
      step: ({ data, errors, meta }: Papa.ParseStepResult<string[]>) => {
        // Papa hands a step its records as a list of one.
        const fields = (data as unknown as string[][])[0]!;
        const isBroken = errors.some(({ type }) => type === 'Quotes');
        if (isBroken) {
          read = lineEnd(text, newline, read);
          isDone = false;
          parser.abort();
        } else read = start + meta.cursor;
        if (newline === '\n') fields.push(fields.pop()!.replace(/\r$/, ''));
        if (isBroken || fields.some((field) => field.trim() !== '')) records.push({ fields, isBroken });
      },
    });
    parser.parse(rest, 0, goesOn);
  }
  return { records, read };
}

/** Where the line that `from` lies in is over. */
function lineEnd(text: string, newline: string, from = 0): number {
  const end = text.indexOf(newline, from);
  return end < 0 ? text.length : end + 1;
}
