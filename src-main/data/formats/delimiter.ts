import Papa from 'papaparse';

const DELIMITERS = [',', ';', '\t', '|'];
/** Stands for none: a file of one column. */
export const NO_DELIMITER = '\x1f';

/**
 * The delimiter by which the most records have as many fields as the header; more fields decide between equals, then the
 * order above. Where none parts the header, the file has one column.
 * @param start the file's beginning, whole records
 */
export function guessDelimiter(start: string, newline: string): string {
  let best = { delimiter: NO_DELIMITER, share: 0, fields: 1 };
  for (const delimiter of DELIMITERS) {
    const parser = new Papa.Parser({ delimiter, newline: newline as '\n' });
    const { data } = parser.parse(start, 0, false) as { data: string[][] };
    const [header, ...records] = data.filter((record) => record.some((field) => field.trim() !== ''));
    const fields = header?.length ?? 0;
    if (fields < 2) continue;
    const fitting = records.filter((record) => record.length === fields).length;
    const share = records.length ? fitting / records.length : 1;
    if (share > best.share || (share === best.share && fields > best.fields)) best = { delimiter, share, fields };
  }
  return best.delimiter;
}
