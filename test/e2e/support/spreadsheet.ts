import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { ZipFile } from 'yazl';

/** What a shop's support answers, 13 kinds of question. */
const KINDS: [string, string][] = [
  ['Wann öffnet die Filiale {}?', 'Die Filiale {} öffnet um neun Uhr,\nsamstags um zehn.'],
  ['Wo ist meine Bestellung {}?', 'Bestellung {} ist unterwegs. Sie kommt in zwei Tagen.'],
  ['Kann ich Gutschein {} einlösen?', 'Ja, Gutschein {} gilt bis Ende des Jahres.'],
  ['Was kostet der Rückversand von {}?', 'Der Rückversand von {} ist kostenlos.'],
  ['Ist Größe {} noch da?', 'Größe {} ist noch da. Sollen wir sie zurücklegen?'],
];
const ROWS = 60;

/**
 * The cells of a spreadsheet as a person keeps one, header first: odd headers, umlauts, a cell of two lines, two empty rows, two rows
 * that are there twice.
 */
export function supportCells(): string[][] {
  const rows = Array.from({ length: ROWS }, (_, i) => {
    const [question, answer] = KINDS[i % KINDS.length]!;
    const number = String(10 + i);
    return [number, question.replace('{}', number), answer.replace('{}', number), i % 7 ? '' : 'geprüft'];
  });
  rows.splice(20, 0, [], rows[3]!);
  rows.splice(40, 0, [], rows[8]!);
  return [['Nr.', 'Frage der Kundin ', '  Was wir sagen (Stand März)', 'Vermerk'], ...rows];
}

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const cellOf = (text: string, column: number, row: number) =>
  text === ''
    ? ''
    : `<c r="${String.fromCharCode(65 + column)}${row}" t="inlineStr"><is><t xml:space="preserve">${escaped(text)}</t></is></c>`;

/** Writes cells as an Excel workbook of one sheet. */
export async function writeWorkbook(file: string, cells: string[][]): Promise<void> {
  const rows = cells.map(
    (row, i) => `<row r="${i + 1}">${row.map((text, j) => cellOf(text, j, i + 1)).join('')}</row>`,
  );
  const main = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main';
  const office = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';
  const packages = 'http://schemas.openxmlformats.org/package/2006';
  const kind = 'application/vnd.openxmlformats-officedocument.spreadsheetml';
  const parts: Record<string, string> = {
    '[Content_Types].xml': `<Types xmlns="${packages}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="${kind}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="${kind}.worksheet+xml"/></Types>`,
    '_rels/.rels': `<Relationships xmlns="${packages}/relationships"><Relationship Id="book" Type="${office}/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
    'xl/workbook.xml': `<workbook xmlns="${main}" xmlns:r="${office}"><sheets><sheet name="Fragen" sheetId="1" r:id="sheet"/></sheets></workbook>`,
    'xl/_rels/workbook.xml.rels': `<Relationships xmlns="${packages}/relationships"><Relationship Id="sheet" Type="${office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`,
    'xl/worksheets/sheet1.xml': `<worksheet xmlns="${main}"><sheetData>${rows.join('')}</sheetData></worksheet>`,
  };
  const zip = new ZipFile();
  for (const [name, text] of Object.entries(parts))
    zip.addBuffer(Buffer.from(`<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n${text}`), name);
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(file));
}
