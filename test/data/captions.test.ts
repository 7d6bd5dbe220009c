import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openCaptioned, readCaptioned } from '../../src-main/data/captions.ts';
import { isBroken } from '../../src-main/data/formats/rows.ts';
import { openRows } from '../../src-main/data/formats/rows.ts';

let folder: string;
/** Nothing here looks into a picture. */
const PICTURE = 'picture';

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'captions-'));
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

function put(files: Record<string, string>): void {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, content);
  }
}

async function read(place = folder, part = {}, mapping = {}, maySayNothing = false) {
  const { rows, plan, folder: from, notes } = await openCaptioned(place, part, mapping);
  const read: unknown[] = [];
  for await (const batch of rows.rows())
    for (const row of batch) {
      const one = isBroken(row) ? row.reason : readCaptioned(row, plan, from, maySayNothing);
      if (typeof one === 'string') read.push(`${row.row}: ${one}`);
      else read.push([one.name, one.caption, ...(one.repeats > 1 ? [one.repeats] : [])]);
    }
  return { read, notes: [...rows.notes, ...notes], split: rows.split };
}

describe('a folder of pictures with captions beside them', () => {
  it('is read in the order of names, and what lacks the other is named', async () => {
    put({
      ...{ 'b.png': PICTURE, 'b.txt': ' a black  dog\r\n on grass\n', 'a.jpg': PICTURE, 'a.caption': '\ufeffa cat' },
      ...{ 'c.webp': PICTURE, 'd.png': PICTURE, 'd.txt': '', 'e.txt': 'an egg', 'LICENSE.txt': 'free' },
      ...{ 'f.png': PICTURE, 'f.txt': 'one', 'f.caption': 'two' },
    });
    expect(await read()).toEqual({
      read: [
        ...[['a.jpg', 'a cat'], ['b.png', 'a black dog on grass']],
        ...['3: c.webp has no caption; write it into c.txt beside it', '4: d.png has no caption; write it into d.txt beside it'],
        '5: f.png has several captions (f.caption, f.txt); keep one',
        '6: e.txt is a caption, and no picture of its name lies beside it',
      ],
      ...{ notes: ['Captions of several lines are read as one line'], split: 'train' },
    }); // prettier-ignore
    expect((await read(folder, {}, {}, true)).read.slice(2, 4)).toEqual([['c.webp', ''], ['d.png', '']]); // prettier-ignore
  });

  it('has its pictures seen as often as a folder of kohya’s says, and called by its name', async () => {
    put({
      ...{
        'img/10_ohwx cat/a.png': PICTURE,
        'img/10_ohwx cat/b.png': PICTURE,
        'img/10_ohwx cat/b.txt': 'a cat asleep',
      },
      ...{ 'img/1_dog/c.png': PICTURE, 'img/1_dog/c.txt': 'a dog' },
    });
    const name = path.join('img', '10_ohwx cat');
    expect(await read()).toEqual({
      read: [['a.png', 'ohwx cat', 10], ['b.png', 'a cat asleep', 10], ['c.png', 'a dog']],
      notes: [
        `Pictures of ${name} are seen 10 times in a pass, as the folder’s name says`,
        `A picture of ${name} has no caption of its own and is called "ohwx cat", as the folder’s name says`,
      ],
      split: 'train',
    }); // prettier-ignore
    expect((await read(path.join(folder, name))).read[0]).toEqual(['a.png', 'ohwx cat', 10]);
  });

  it('may have splits by the names of its folders alone', async () => {
    put({ 'train/test.png': PICTURE, 'train/test.txt': 'one', 'validation/v.png': PICTURE, 'validation/v.txt': 'two' });
    expect((await read()).read).toEqual([['test.png', 'one']]);
    expect((await read(folder, { split: 'validation' })).read).toEqual([['v.png', 'two']]);
    await expect(read(folder, { split: 'odd' })).rejects.toThrow('has no split "odd"; name one of train, validation');
  });

  it.each([
    [{ 'reg/1_cat/a.png': PICTURE }, 'holds pictures for regularisation (reg)'],
    [{ '2024_summer/a.png': PICTURE }, 'the pictures of the folder 2024_summer are seen 2024 times in a pass'],
    [{ 'a.png': PICTURE, 'a.txt': 'a', 'metadata.jsonl': '{}' }, 'has captions beside its pictures and in metadata.jsonl, too'],
  ])('is refused by name where it means something else: %j', async (files, message) => {
    put(files as Record<string, string>);
    await expect(read()).rejects.toThrow(message);
  }); // prettier-ignore
});

describe('a table of pictures with captions', () => {
  it('is read as imagefolder has it, beside its pictures', async () => {
    put({
      'train/metadata.jsonl':
        '{"file_name":"a.png","text":"a cat"}\n{"file_name":"b.png","text":" "}\n{"text":"none"}\n',
      'train/a.png': PICTURE,
    });
    expect(await read()).toMatchObject({
      read: [['a.png', 'a cat'], '2: it has no caption (column "text")', '3: it has no picture (column "file_name")'],
    });
  });

  it('is read by its columns, others than those by a mapping', async () => {
    put({ 'set.csv': 'image,caption,text,size\na.png,a cat,long,9\n../b.png,a dog,long,9\n' });
    const file = path.join(folder, 'set.csv');
    const outside = '3: its picture ../b.png lies outside the dataset’s folder; put it into that folder';
    expect(await read(file)).toEqual({
      ...{ read: [['a.png', 'long'], outside], split: undefined },
      notes: [`Of ${file} these columns are not read: caption, size`],
    });
    expect((await read(file, {}, { caption: 'caption' })).read[0]).toEqual(['a.png', 'a cat']);
    await expect(read(file, {}, { caption: 'captoin' })).rejects.toThrow('did you mean "caption"?');
    await expect(read(file, {}, { title: 'text' })).rejects.toThrow('there are picture and caption');
    put({ 'odd.csv': 'bild,titel\na.png,a\n' });
    await expect(read(path.join(folder, 'odd.csv'))).rejects.toThrow('none of its columns (bild, titel) is known to hold the pictures and the captions'); // prettier-ignore
  });

  it('is read with the pictures inside, each row one', () => {
    const plan = { picture: 'image', caption: 'text' };
    const one = (fields: Record<string, unknown>) => readCaptioned({ row: 1, fields }, plan, folder);
    const bytes = Uint8Array.of(1, 2);
    expect(one({ image: { bytes, path: 'a.png' }, text: 'a' })).toMatchObject({ source: { bytes }, name: 'picture 1' });
    expect(one({ image: ['a.png', 'b.png'], text: 'a' })).toContain('it has 2 pictures');
    expect(one({ image: 'a.png', text: ['a', 'b'] })).toContain('its caption is a list');
    expect(one({ image: 'https://a.b/c.png', text: 'a' })).toContain('nothing is fetched');
  });

  it('of language stays what it was: a folder of pictures is no dataset, nor are the captions beside them', async () => {
    put({ 'a.png': PICTURE });
    await expect(openRows(folder)).rejects.toThrow('holds pictures, and no table');
    put({ 'a.txt': 'a dog' });
    await expect(openRows(folder)).rejects.toThrow('holds pictures, and no table');
  });
});
