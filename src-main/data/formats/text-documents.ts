import type { Row } from '../types.ts';
import type { FileRows, Note } from './source.ts';
import { lineBatches } from './text-file.ts';

/** Plain text: a document where blank lines end it; row numbers count documents. */
export function textFile(path: string, note: Note): Promise<FileRows> {
  return Promise.resolve({ columns: ['text'], rows: () => documents(path, note) });
}

async function* documents(path: string, note: Note): AsyncGenerator<Row[]> {
  let row = 0;
  let lines: string[] = [];
  const document = (): Row[] => {
    const text = lines
      .join('\n')
      .replace(/^\ufeff/, '')
      .trim();
    lines = [];
    return text === '' ? [] : [{ row: ++row, fields: { text } }];
  };
  for await (const batch of lineBatches(path, note)) {
    const rows: Row[] = [];
    for (const line of batch) {
      if (line.trim() === '') rows.push(...document());
      else lines.push(line.replace(/\r$/, ''));
    }
    yield rows;
  }
  yield document();
}
