import Papa from 'papaparse';
import { UserError } from '../../engine/types.ts';

const COLUMNS = ['question', 'answer'];

/**
 * Cells as a spreadsheet copies them (tabs between them, quotes around what holds line breaks), as a table with a header line.
 * @param header whether their first line names the columns; else two columns are a question and its answer
 * @throws UserError where there is only a header
 */
export function pastedText(text: string, header: boolean): string {
  const delimiter = text.includes('\t') ? '\t' : ',';
  const { data } = Papa.parse<string[]>(text.replace(/^\ufeff/, ''), { delimiter, skipEmptyLines: 'greedy' });
  const width = Math.max(...data.map((cells) => cells.length), 0);
  const wide = data.map((cells) => [...cells, ...new Array<string>(width - cells.length).fill('')]);
  const names = header ? (wide.shift() ?? []) : [];
  if (wide.length === 0) throw new UserError('What was pasted has no row below its first line. Copy the rows, too.');
  const named = Array.from({ length: width }, (_, i) => names[i]?.trim() || (header || width > 2 ? `column ${i + 1}` : width === 1 ? 'text' : COLUMNS[i]!)); // prettier-ignore
  const twice = named.find((name, i) => named.indexOf(name) !== i);
  if (twice !== undefined) throw new UserError(`Two columns of what was pasted are named “${twice}”. Give each a name of its own.`); // prettier-ignore
  return Papa.unparse([named, ...wide], { delimiter: '\t', newline: '\n' });
}
