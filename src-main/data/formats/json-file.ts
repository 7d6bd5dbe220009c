import { UserError } from '../../engine/types.ts';
import type { Row } from '../types.ts';
import { parseJson } from './json-values.ts';
import { jsonElements, NotJson } from './json-elements.ts';
import { asRow, isObject, type BrokenRow, type FileRows, type Note } from './source.ts';
import { decodedText, lineBatches } from './text-file.ts';

/** What stands at a file's beginning, characters: enough to tell lines from one document. */
const LOOKED_AT = 2 ** 16;

/**
 * A JSON document (an array of objects, or an object that holds one such array) or one object a line, told apart by content:
 * people name both either way.
 */
export async function jsonFile(path: string, note: Note): Promise<FileRows> {
  const isLines = holdsLines(await beginning(path), /\.json(\.|$)/i.test(path));
  return { rows: () => (isLines ? linesOf(path, note) : elementsOf(path, note)) };
}

async function beginning(path: string): Promise<string> {
  let text = '';
  for await (const part of decodedText(path, () => {})) {
    text += part;
    if (text.length >= LOOKED_AT) break;
  }
  return text.replace(/^\ufeff/, '');
}

/** An array is one document. An object is one where it goes on over lines, or where nothing follows it in a file that is named so. */
function holdsLines(start: string, isNamedJson: boolean): boolean {
  const text = start.trimStart();
  if (text.startsWith('[')) return false;
  if (!isNamedJson) return true;
  const end = text.indexOf('\n');
  if (end < 0 || text.slice(end).trim() === '') return false;
  try {
    return isObject(JSON.parse(text.slice(0, end)));
  } catch {
    return false;
  }
}

/** One object a line; row numbers are line numbers. */
async function* linesOf(path: string, note: Note): AsyncGenerator<(Row | BrokenRow)[]> {
  let row = 0;
  for await (const lines of lineBatches(path, note)) {
    const batch: (Row | BrokenRow)[] = [];
    for (const line of lines) {
      row++;
      if (line.trim() === '' || line === '\ufeff') continue;
      batch.push(lineRow(line, row));
    }
    yield batch;
  }
}

function lineRow(line: string, row: number): Row | BrokenRow {
  try {
    return asRow(parseJson(line), row);
  } catch {
    return { row, reason: 'not valid JSON' };
  }
}

/** The elements of a document's array; row numbers count them. */
async function* elementsOf(path: string, note: Note): AsyncGenerator<(Row | BrokenRow)[]> {
  let row = 0;
  let hasArray = false;
  try {
    const others = (lists: string[]) =>
      note(`${path}: its first list is read, and not ${lists.join(', ')}; give each list as a file of its own`);
    for await (const elements of jsonElements(decodedText(path, note), others)) {
      hasArray = true;
      yield elements.map((text) => asRow(parseJson(text), ++row));
    }
  } catch (error) {
    if (!(error instanceof NotJson || error instanceof SyntaxError)) throw error;
    const where = row > 0 ? ` behind row ${row}` : '';
    throw new UserError(
      `${path} is not valid JSON${where} (${error.message}); if it holds one object a line, name it .jsonl`,
    );
  }
  if (!hasArray) throw new UserError(`${path} holds no list of examples; give a JSON array of objects`);
}
