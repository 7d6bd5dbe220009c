import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ZipFile } from 'yazl';
import { fieldText } from '../../src-main/data/field-text.ts';
import { isBroken, openRows, readRows } from '../../src-main/data/formats/rows.ts';
import type { Row } from '../../src-main/data/types.ts';

const fixtures = path.join(import.meta.dirname, 'fixtures');
const fixture = (name: string) => path.join(fixtures, name);
/** what openpyxl reads: by file, sheet and address */
const THEIRS = JSON.parse(fs.readFileSync(fixture('excel.json'), 'utf8')) as Record<string, Record<string, Record<string, string>>>; // prettier-ignore
let folder: string;

beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-excel-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

const NAMESPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"';
const RELATIONS = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"';
const TYPE = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';

/** A workbook of one sheet of the given rows, as XML, and other parts. */
async function workbook(name: string, rows: string, parts: Record<string, string | Buffer> = {}): Promise<string> {
  const all: Record<string, string | Buffer> = {
    '_rels/.rels': `<Relationships ${RELATIONS}><Relationship Id="a" Type="${TYPE}/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
    'xl/workbook.xml': `<workbook ${NAMESPACE} xmlns:r="${TYPE}"><sheets><sheet name="One" sheetId="1" r:id="b"/></sheets></workbook>`,
    'xl/_rels/workbook.xml.rels': `<Relationships ${RELATIONS}><Relationship Id="b" Type="${TYPE}/worksheet" Target="sheet.xml"/></Relationships>`,
    'xl/sheet.xml': `<worksheet ${NAMESPACE}><sheetData>${rows}</sheetData></worksheet>`,
    ...parts,
  };
  const zip = new ZipFile();
  for (const [part, content] of Object.entries(all))
    zip.addBuffer(Buffer.from(content), part, { compress: content.length > 2 ** 20 });
  zip.end();
  const file = path.join(folder, name);
  const out = fs.createWriteStream(file);
  zip.outputStream.pipe(out);
  await new Promise((resolve) => out.on('close', () => resolve(undefined)));
  return file;
}

const text = (value: string) => `<c t="inlineStr"><is><t xml:space="preserve">${value}</t></is></c>`;
const HEADER = `<row>${text('text')}</row>`;

describe('a workbook', () => {
  it('gives every value the text that openpyxl gives it', async () => {
    const { rows, broken } = await readRows(fixture('values.xlsx'));
    expect(broken).toEqual([]);
    const ours = Object.fromEntries(
      rows.flatMap(({ row, fields }) => [
        [`A${row}`, fieldText(fields.kind, 'kind')],
        [`B${row}`, fieldText(fields.value, 'value')],
      ]),
    ) as Record<string, string>;
    expect({ A1: 'kind', B1: 'value', ...ours }).toEqual(THEIRS['values.xlsx']!.Values);
  });

  it('is read from its first sheet with rows, by the sheet’s row numbers, without rows that are empty', async () => {
    const source = await openRows(fixture('sheets.xlsx'));
    expect([source.sheet, source.sheets]).toEqual(['Fragen & Antworten', ['Cover', 'Fragen & Antworten', 'Old']]);
    expect(source.columns).toEqual(['instruction', 'output', 'rating', 'column D', 'column AB']);
    const rows = [];
    for await (const batch of source.rows()) rows.push(...batch);
    const cells = THEIRS['sheets.xlsx']!['Fragen & Antworten']!;
    const columns = { instruction: 'B', output: 'C', rating: 'E', 'column D': 'D', 'column AB': 'AB' };
    const theirs = (row: number) =>
      Object.fromEntries(
        Object.entries(columns).flatMap(([name, letter]) => {
          const value = cells[`${letter}${row}`];
          return value === undefined ? [] : [[name, value]];
        }),
      ) as object;
    const read = rows.filter((row): row is Row => !isBroken(row));
    expect(read.map(({ row }) => row)).toEqual([3, 5, 8, 9, 10]);
    for (const { row, fields } of read)
      expect(Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, fieldText(value, name)]))).toEqual(theirs(row)); // prettier-ignore
    expect(rows.filter(isBroken)).toEqual([{ row: 6, reason: 'its output holds the error #DIV/0!' }]);
    expect(source.notes).toEqual([
      expect.stringContaining('the sheet "Fragen & Antworten" is read, not "Cover", "Old"'),
      expect.stringContaining('has merged cells'),
    ]);
  });

  it('is read from the sheet that is named, a hidden one, too', async () => {
    const { rows } = await readRows(fixture('sheets.xlsx'), { sheet: 'Old' });
    expect(rows).toEqual([{ row: 2, fields: { text: THEIRS['sheets.xlsx']!.Old!.A2 } }]);
    await expect(openRows(fixture('sheets.xlsx'), { sheet: 'Neu' })).rejects.toThrow(
      /no sheet "Neu"; name one of "Cover", "Fragen & Antworten", "Old"/,
    );
    await expect(openRows(fixture('sheets.xlsx'), { sheet: 'Cover' })).rejects.toThrow(/in its sheet "Cover" no rows/);
  });

  it('counts days from 1904 where it says so', async () => {
    const cell = (serial: number) => `<row><c s="1"><v>${serial}</v></c></row>`;
    const file = await workbook('1904.xlsx', HEADER + cell(0) + cell(43890) + cell(43890.25), {
      'xl/workbook.xml': `<workbook ${NAMESPACE} xmlns:r="${TYPE}"><workbookPr date1904="1"/><sheets><sheet name="One" r:id="b"/></sheets></workbook>`,
      'xl/_rels/workbook.xml.rels': `<Relationships ${RELATIONS}><Relationship Id="b" Type="${TYPE}/worksheet" Target="sheet.xml"/><Relationship Id="c" Type="${TYPE}/styles" Target="/xl/styles.xml"/></Relationships>`,
      'xl/styles.xml': `<styleSheet ${NAMESPACE}><cellStyleXfs><xf numFmtId="0"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>`,
    });
    // 1904-01-01 is Excel's day 0 there, and its days are 1,462 fewer.
    expect((await readRows(file)).rows.map(({ fields }) => fields.text)).toEqual(['1904-01-01', '2024-03-01', '2024-03-01T06:00:00']); // prettier-ignore
  });

  it('says characters that XML has no place for as Excel does', async () => {
    const file = await workbook('escaped.xlsx', HEADER + `<row>${text('a_x000D_b _x005F_x000D_\r\nc&#13;d')}</row>`);
    expect((await readRows(file)).rows[0]!.fields.text).toBe('a\rb _x000D_\nc\rd');
  });

  it('is read whatever prefix its XML has, with gaps between cells', async () => {
    const file = await workbook('prefix.xlsx', '', {
      'xl/sheet.xml': `<x:worksheet xmlns:x="http://purl.oclc.org/ooxml/spreadsheetml/main"><x:sheetData><x:row r="4"><x:c r="B4" t="inlineStr"><x:is><x:t>text</x:t></x:is></x:c></x:row><x:row r="9"><x:c r="B9"><x:v>7</x:v></x:c><x:c r="ZZ9" t="d"><x:v>2024-01-02</x:v></x:c></x:row></x:sheetData></x:worksheet>`,
    });
    expect((await readRows(file)).rows).toEqual([{ row: 9, fields: { text: 7, 'column ZZ': '2024-01-02' } }]);
  });

  it('keeps a text that comes in many pieces', async () => {
    const long = 'Größe 日本\n'.repeat(40_000);
    const file = await workbook('long.xlsx', HEADER + `<row>${text(long)}</row>`);
    expect((await readRows(file)).rows[0]!.fields.text).toBe(long);
  });
});

describe('refused by name', () => {
  it.each([
    ['old.xls', 'x', /a kind that is not read; save it as .xlsx or CSV/],
    ['binary.xlsb', 'x', /a kind that is not read/],
    ['libre.ods', 'x', /a kind that is not read/],
    [
      'secret.xlsx',
      Buffer.from('d0cf11e0a1b11ae1000000', 'hex'),
      /is encrypted, or an .xls of old.*without a password/,
    ],
    ['text.xlsx', 'instruction,output\na,b\n', /can't be read as an Excel workbook.*save it anew/],
    ['empty.xlsx', '', /is empty/],
  ])('%s', async (name, content, message) => {
    const file = path.join(folder, name);
    fs.writeFileSync(file, content);
    await expect(openRows(file)).rejects.toThrow(message);
  });

  it.each([
    ['two columns of one name', `<row>${text('a')}${text(' a')}</row><row>${text('1')}</row>`, /two columns named "a"/],
    ['no row below the header', HEADER, /no sheet with rows below a header line/],
    [
      'rows in the wrong order',
      `<row r="3">${text('a')}</row><row r="3">${text('b')}</row>`,
      /"3" stands behind row 3/,
    ],
    ['a cell beyond the last column', `${HEADER}<row><c r="XFE2"><v>1</v></c></row>`, /a cell at "XFE2"/],
    ['a text that is not there', `${HEADER}<row><c t="s"><v>0</v></c></row>`, /no text 0/],
    ['a number that is none', `${HEADER}<row><c><v>1,5</v></c></row>`, /a number "1,5"/],
    ['XML that is cut off', `${HEADER}<row>${text('1')}</row><row>`, /can't be read as an Excel workbook/],
  ])('%s', async (name, rows, message) => {
    await expect(readRows(await workbook(`${name}.xlsx`, rows))).rejects.toThrow(message);
  });

  it('entities of its own, which may unpack to anything', async () => {
    const file = await workbook('bomb.xlsx', '', {
      'xl/sheet.xml': '<!DOCTYPE worksheet [<!ENTITY a "aaaaaaaaaa">]><worksheet><sheetData/></worksheet>',
    });
    await expect(openRows(file)).rejects.toThrow(/declares a document type/);
  });

  it('a part that unpacks to too much, before it is unpacked', async () => {
    const spaces = Buffer.alloc(2 ** 28 + 1, ' ');
    const file = await workbook('large.xlsx', '', { 'xl/sheet.xml': spaces });
    expect(fs.statSync(file).size).toBeLessThan(1e6);
    await expect(openRows(file)).rejects.toThrow(/unpacks to 268435457 bytes, where 268435456 are read at most/);
  });

  it('a part with a bit that is another, which unpacks all the same', async () => {
    const file = await workbook('flipped.xlsx', HEADER + `<row>${text('a fact')}</row>`);
    const bytes = fs.readFileSync(file);
    bytes[bytes.indexOf('a fact')]! ^= 1;
    fs.writeFileSync(file, bytes);
    await expect(readRows(file)).rejects.toThrow(/its part xl\/sheet.xml is damaged/);
  });

  it('a sheet of a file that is no workbook', async () => {
    const file = path.join(folder, 'a.csv');
    fs.writeFileSync(file, 'text\na\n');
    await expect(openRows(file, { sheet: 'One' })).rejects.toThrow(/is no Excel workbook and has no sheet "One"/);
  });

  it('days that Excel has no date for drop their row', async () => {
    const styles = `<styleSheet ${NAMESPACE}><cellXfs><xf/><xf numFmtId="14"/></cellXfs></styleSheet>`;
    const cell = (serial: string) => `<row><c s="1"><v>${serial}</v></c></row>`;
    const file = await workbook('days.xlsx', HEADER + cell('60') + cell('-1') + cell('2958466') + cell('2958465'), {
      'xl/_rels/workbook.xml.rels': `<Relationships ${RELATIONS}><Relationship Id="b" Type="${TYPE}/worksheet" Target="sheet.xml"/><Relationship Id="c" Type="${TYPE}/styles" Target="styles.xml"/></Relationships>`,
      'xl/styles.xml': styles,
    });
    const { rows, broken } = await readRows(file);
    expect(rows).toEqual([{ row: 5, fields: { text: '9999-12-31' } }]);
    expect(broken.map(({ reason }) => reason)).toEqual(['60', '-1', '2958466'].map((serial) => `its text holds ${serial}, which is no date`)); // prettier-ignore
  });
});
