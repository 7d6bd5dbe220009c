import fs from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestStudio, player } from './support/studio.ts';
import { scratchFolder } from '../support/scratch.ts';

const scratch = scratchFolder();
let open: ReturnType<typeof openTestStudio>;
const at = (...names: string[]) => path.join(scratch.folder, ...names);
const read = (...names: string[]) => fs.readFileSync(at(...names), 'utf8');

beforeAll(async () => {
  open = openTestStudio(scratch.folder, player(3, 1));
  fs.mkdirSync(at('cats', 'more'), { recursive: true });
  for (const name of ['a.png', 'b.png', 'more/c.png'])
    await sharp({ create: { width: 20, height: 10, channels: 3, background: '#f80' } })
      .png()
      .toFile(at('cats', name));
  fs.writeFileSync(at('cats', 'a.txt'), '\ufeffa cat, orange\r\non a mat');
  fs.writeFileSync(at('cats', 'more', 'c.caption'), 'sitting, orange');
  fs.writeFileSync(at('cats', 'broken.png'), 'no picture');
  fs.writeFileSync(at('cats', 'broken.txt'), 'a cat, orange');
});
afterAll(async () => {
  await open.studio.close();
  scratch.remove();
});

const added = async () => (await open.client.datasets.add({ path: at('cats') })).id;
const captionsOf = async (id: string) => {
  const { pictures } = await open.client.datasets.captions({ id });
  return Object.fromEntries(pictures.map(({ picture, caption }) => [picture.replaceAll('\\', '/'), caption]));
};
const FIRST = { 'a.png': 'a cat, orange on a mat', 'b.png': '', 'broken.png': 'a cat, orange', 'more/c.png': 'sitting, orange' }; // prettier-ignore

it('shows pictures with their captions, names one that is broken, and counts tags and what has no caption', async () => {
  const id = await added();
  const page = await open.client.datasets.captions({ id });
  expect(await captionsOf(id)).toEqual(FIRST);
  expect(page).toMatchObject({ all: 4, matching: 4, without: 1, folder: at('cats'), undoable: 0 });
  expect(page.tags).toEqual([{ tag: 'a cat', count: 2 }, { tag: 'orange', count: 2 }]); // prettier-ignore
  expect(page.pictures[0]!.shown).toMatchObject({ width: 20, height: 10 });
  expect(page.pictures.find(({ picture }) => picture === 'broken.png')!.problem).toContain('broken.png');
  const found = await open.client.datasets.captions({ id, search: 'SITTING' });
  expect(found.pictures.map(({ caption }) => caption)).toEqual(['sitting, orange']);
  expect((await open.client.datasets.captions({ id, empty: true })).pictures.map(({ picture }) => picture)).toEqual(['b.png']); // prettier-ignore
  const look = await open.client.datasets.look({ id });
  expect(look).toMatchObject({ ofCaptions: true, isRecognised: true });
});

it('writes captions beside the pictures, into the file that is there, and takes every change back to the byte', async () => {
  const id = await added();
  const before = ['a.txt', 'broken.txt', 'more/c.caption'].map((name) => read('cats', name));
  const change = (of: Parameters<typeof open.client.datasets.caption>[0]['change']) => open.client.datasets.caption({ id, change: of }); // prettier-ignore
  expect(await change({ picture: 'b.png', caption: ' a dog,\n brown ' })).toEqual({ files: 1 });
  expect(read('cats', 'b.txt')).toBe('a dog, brown\n');
  expect(await change({ before: 'sks' })).toEqual({ files: 4 });
  expect(read('cats', 'more', 'c.caption')).toBe('sks, sitting, orange\n');
  expect(await change({ before: 'sks' })).toEqual({ files: 0 });
  expect(await change({ without: 'Orange' })).toEqual({ files: 2 });
  expect(await captionsOf(id)).toEqual({ 'a.png': 'sks, a cat, orange on a mat', 'b.png': 'sks, a dog, brown', 'broken.png': 'sks, a cat', 'more/c.png': 'sks, sitting' }); // prettier-ignore
  await expect(change({ picture: '../b.png', caption: 'x' })).rejects.toThrow('../b.png can');
  for (const undoable of [2, 1, 0]) expect(await open.client.datasets.undoCaptions({ id })).toEqual({ undoable });
  expect(await captionsOf(id)).toEqual(FIRST);
  expect(['a.txt', 'broken.txt', 'more/c.caption'].map((name) => read('cats', name))).toEqual(before);
  expect(fs.existsSync(at('cats', 'b.txt'))).toBe(false);
});

it('leaves a file that another program has changed since then', async () => {
  const id = await added();
  await open.client.datasets.caption({ id, change: { before: 'sks' } });
  fs.writeFileSync(at('cats', 'broken.txt'), 'mine');
  await expect(open.client.datasets.undoCaptions({ id })).rejects.toThrow(
    /^broken\.txt was changed by another program/,
  );
  expect(await captionsOf(id)).toEqual({ ...FIRST, 'broken.png': 'mine' });
  fs.writeFileSync(at('cats', 'broken.txt'), 'a cat, orange');
});

it('copies pictures and captions of a table into a folder, where they are changed; the table stays', async () => {
  fs.mkdirSync(at('listed'));
  fs.copyFileSync(at('cats', 'a.png'), at('listed', 'one.png'));
  const table = 'file_name,text\none.png,a cat\ngone.png,a dog\n';
  fs.writeFileSync(at('listed', 'metadata.csv'), table);
  const { id: listed } = await open.client.datasets.add({ path: at('listed') });
  expect((await open.client.datasets.captions({ id: listed })).folder).toBeUndefined();
  await expect(open.client.datasets.caption({ id: listed, change: { before: 'sks' } })).rejects.toThrow(
    'stand in a table',
  );
  const { id, pictures, left } = await open.client.datasets.ownCaptions({ id: listed });
  expect({ pictures, left }).toEqual({ pictures: 1, left: [expect.stringContaining('gone.png')] });
  await open.client.datasets.caption({ id, change: { before: 'sks' } });
  expect(await captionsOf(id)).toEqual({ 'one.png': 'sks, a cat' });
  expect(read('listed', 'metadata.csv')).toBe(table);
  const own = (await open.client.datasets.list()).find((one) => one.id === id)!;
  expect(own).toMatchObject({ name: 'listed', own: true });
  await open.client.datasets.remove({ id });
  expect(fs.existsSync(own.path)).toBe(false);
});
