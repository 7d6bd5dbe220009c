import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestStudio, player } from './support/studio.ts';
import { scratchFolder } from '../support/scratch.ts';

const scratch = scratchFolder();
let open: ReturnType<typeof openTestStudio>;
const at = (name: string) => join(scratch.folder, name);
beforeAll(() => {
  open = openTestStudio(scratch.folder, player(3, 1));
});
afterAll(async () => {
  await open.studio.close();
  scratch.remove();
});

/** A dataset of the library, of a file with this content. */
async function added(name: string, content: string | Uint8Array): Promise<string> {
  writeFileSync(at(name), content);
  return (await open.client.datasets.add({ path: at(name) })).id;
}
const valuesOf = async (id: string) => (await open.client.datasets.rows({ id })).rows.map(({ values }) => values);
const pathOf = async (id: string) => (await open.client.datasets.list()).find((one) => one.id === id)!.path;

describe('a table of the studio’s own', () => {
  const CSV = 'Frage,Antwort,Nr\nWann?,"Um neun,\nimmer",1\nWo?,Hier,12345678901234567890\nWer?,Wir,3\n';

  it('is a copy: the file stays as it is, whatever is changed, and each change can be taken back', async () => {
    const file = await added('fragen.csv', CSV);
    const { id, rows, left } = await open.client.datasets.own({ id: file });
    expect({ rows, left }).toEqual({ rows: 3, left: [] });
    const first = [['Wann?', 'Um neun,\nimmer', '1'], ['Wo?', 'Hier', '12345678901234567890'], ['Wer?', 'Wir', '3']]; // prettier-ignore
    expect(await valuesOf(id)).toEqual(first);
    await open.client.datasets.edit({ id, changes: [{ row: 2, column: 'Antwort', value: 'Dort' }] });
    await open.client.datasets.edit({ id, changes: [{ row: 1, gone: true }, { row: 3, gone: true }] }); // prettier-ignore
    expect(await valuesOf(id)).toEqual([['Wo?', 'Dort', '12345678901234567890']]);
    expect(await open.client.datasets.undo({ id })).toEqual({ undoable: 1 });
    expect(await valuesOf(id)).toEqual([first[0], ['Wo?', 'Dort', '12345678901234567890'], first[2]]);
    expect(await open.client.datasets.undo({ id })).toEqual({ undoable: 0 });
    expect(await valuesOf(id)).toEqual(first);
    expect(await open.client.datasets.undo({ id })).toEqual({ undoable: 0 });
    expect(readFileSync(at('fragen.csv'), 'utf8')).toBe(CSV);
  });

  it('makes all of several changes or none', async () => {
    const { id } = await open.client.datasets.own({ id: await added('two.csv', 'a,b\n1,2\n3,4\n') });
    const changes = [{ row: 1, column: 'a', value: 'x' }, { row: 9, gone: true as const }]; // prettier-ignore
    await expect(open.client.datasets.edit({ id, changes })).rejects.toThrow(/Row 9 isn't there/);
    await expect(open.client.datasets.edit({ id, changes: [{ row: 1, gone: true }, { row: 2, gone: true }] })).rejects.toThrow(/last row has to stay/); // prettier-ignore
    expect(await valuesOf(id)).toEqual([['1', '2'], ['3', '4']]); // prettier-ignore
    expect((await open.client.datasets.rows({ id })).undoable).toBe(0);
  });

  it('takes back nothing that a power cut kept from being written', async () => {
    const { id } = await open.client.datasets.own({ id: await added('cut.csv', 'a,b\n1,2\n3,4\n') });
    const path = await pathOf(id);
    await open.client.datasets.edit({ id, changes: [{ row: 1, column: 'a', value: 'first' }] });
    const before = readFileSync(path);
    await open.client.datasets.edit({ id, changes: [{ row: 2, gone: true }] });
    // The list of changes was written, the table was not.
    writeFileSync(path, before);
    expect((await open.client.datasets.rows({ id })).undoable).toBe(1);
    expect(await open.client.datasets.undo({ id })).toEqual({ undoable: 0 });
    expect(await valuesOf(id)).toEqual([['1', '2'], ['3', '4']]); // prettier-ignore
  });

  it('keeps lists and numbers as such, and refuses a text in their place', async () => {
    const chat = [{ role: 'user', content: 'Hi' }, { role: 'assistant', content: 'Hello' }]; // prettier-ignore
    const { id } = await open.client.datasets.own({ id: await added('chat.jsonl', `${JSON.stringify({ messages: chat, n: 1 })}\n`) }); // prettier-ignore
    await open.client.datasets.edit({ id, changes: [{ row: 1, column: 'n', value: '1.50' }] });
    expect(JSON.parse(readFileSync(await pathOf(id), 'utf8'))).toEqual({ messages: chat, n: 1.5 });
    const edit = open.client.datasets.edit({ id, changes: [{ row: 1, column: 'messages', value: 'Hi' }] });
    await expect(edit).rejects.toThrow(/“messages” holds .* is not written as that is/);
  });

  it('names the rows of the file that it has not', async () => {
    const file = await added('ragged.csv', 'a,b\n1,2\n3\n5,6\n');
    expect((await open.client.datasets.own({ id: file })).left).toEqual([
      { reason: '1 columns where the header has 2', rows: [3] },
    ]);
  });

  it('reads a file in the encoding that it is told', async () => {
    const file = await added('latin2.csv', Buffer.from([...Buffer.from('frage,antwort\n'), 0xb3, 0xf3, 0x64, 0x9f, 0x2c, 0x78, 0x0a])); // prettier-ignore
    const { id } = await open.client.datasets.own({ id: file, encoding: 'windows-1250' });
    expect(await valuesOf(id)).toEqual([['łódź', 'x']]);
    await expect(open.client.datasets.own({ id: file, encoding: 'shift_jis' })).rejects.toThrow(/not written so/);
  });

  it('is not for a file of the user’s: that is refused', async () => {
    const file = await added('theirs.csv', 'a,b\n1,2\n');
    const edit = open.client.datasets.edit({ id: file, changes: [{ row: 1, gone: true }] });
    await expect(edit).rejects.toThrow(/stays as it is/);
  });

  it('goes with its rows, unless a run learns from it', async () => {
    const { id } = await open.client.datasets.own({ id: await added('gone.csv', 'instruction,output\na,b\nc,d\n') });
    const path = await pathOf(id);
    const run = await open.client.runs.create({ name: 'Needs it', recipe: { ...open.recipe, dataset: [{ path, weight: 1 }] }, hold: true }); // prettier-ignore
    await expect(open.client.datasets.remove({ id })).rejects.toThrow(/“Needs it” learns from/);
    await open.client.runs.remove({ id: run.id });
    await open.client.datasets.remove({ id });
    expect(() => readFileSync(path)).toThrow(/ENOENT/);
  });
});

describe('what is pasted', () => {
  it('is a table, its lines breaking inside quotes, with or without names', async () => {
    const cells = 'Frage\tAntwort\nWann?\t"Um neun,\nimmer"\nWo?\tHier\n';
    const named = await open.client.datasets.paste({ name: 'p', text: cells, header: true });
    expect((await open.client.datasets.rows({ id: named.id })).columns).toEqual(['Frage', 'Antwort']);
    expect(await valuesOf(named.id)).toEqual([['Wann?', 'Um neun,\nimmer'], ['Wo?', 'Hier']]); // prettier-ignore
    const unnamed = await open.client.datasets.paste({ name: 'p', text: 'Wann?\tUm neun\nWo?\tHier', header: false });
    expect((await open.client.datasets.rows({ id: unnamed.id })).columns).toEqual(['question', 'answer']);
    await expect(open.client.datasets.paste({ name: 'p', text: 'a\tb', header: true })).rejects.toThrow(/no row below/);
    await expect(open.client.datasets.paste({ name: 'p', text: 'a\ta\n1\t2', header: true })).rejects.toThrow(/named “a”/); // prettier-ignore
  });
});

describe('looking through a dataset', () => {
  it('guesses its columns, and tells what is empty, twice, personal or can’t be read', async () => {
    const id = await added(
      'look.csv',
      'Nr,Frage,Antwort\n1,Wann?,Um neun\n2,Wann?,um neun.\n3,Wo?,\n4,Wer?,Frag anna@example.org\n5,Wer?,Wir\nx\n',
    );
    const look = await open.client.datasets.look({ id });
    expect(look).toMatchObject({
      rows: 5,
      whole: true,
      guess: { question: 'Frage', answer: 'Antwort' },
      broken: [{ rows: [7] }],
      empty: [4],
      duplicates: { same: [[2, 3]], contradicting: [[5, 6]] },
      personal: [{ kind: 'mail', rows: [5] }],
      answers: { filled: 4, distinct: 4 },
    });
    const found = await open.client.datasets.rows({ id, search: 'NEUN wann', count: 1 });
    expect(found).toMatchObject({ matching: 2, all: 6, rows: [{ row: 2 }] });
    expect((await open.client.datasets.rows({ id, only: [5, 7] })).rows.map(({ row }) => row)).toEqual([5, 7]);
  });

  it('reads the sheet of a workbook that was chosen, and copies that one', async () => {
    // Two sheets with rows: the one that is shown, and one that is hidden.
    const id = await added('sheets.xlsx', readFileSync(new URL('../data/fixtures/sheets.xlsx', import.meta.url)));
    expect((await open.client.datasets.look({ id })).sheet).toBe('Fragen & Antworten');
    await open.client.datasets.change({ id, sheet: 'Old' });
    expect(await open.client.datasets.look({ id })).toMatchObject({ sheet: 'Old', rows: 1 });
    const copy = await open.client.datasets.own({ id });
    expect([await valuesOf(id), await valuesOf(copy.id)]).toEqual([[['hidden']], [['hidden']]]);
  });

  it('keeps what was chosen with the dataset', async () => {
    const id = await added('chosen.csv', 'x,y\n1,2\n');
    const mapping = { instruction: 'x', output: 'y' };
    await open.client.datasets.change({ id, name: 'Mine', format: 'instruction', mapping });
    const entry = async () => (await open.client.datasets.list()).find((one) => one.id === id);
    expect(await entry()).toMatchObject({ name: 'Mine', format: 'instruction', mapping });
    await open.client.datasets.change({ id, mapping: null, format: null });
    expect(await entry()).not.toHaveProperty('mapping');
    await expect(open.client.datasets.change({ id: 'example:arithmetic.jsonl', name: 'x' })).rejects.toThrow();
  });
});
