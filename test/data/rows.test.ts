import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fieldText } from '../../src-main/data/field-text.ts';
import { isBroken, openRows, readRows } from '../../src-main/data/formats/rows.ts';

const here = import.meta.dirname;
let folder: string;

const put = (name: string, content: string | Buffer) => {
  const file = path.join(folder, name);
  fs.writeFileSync(file, content);
  return file;
};

/** What a source gives, batch by batch. */
async function batchesOf<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const batches: T[] = [];
  for await (const batch of rows) batches.push(batch);
  return batches;
}

beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-rows-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

describe('files', () => {
  const fields = [
    { prompt: 'a, "b"', completion: 'line 1\nline 2' },
    { prompt: 'ä', completion: '日本' },
  ];

  it.each([
    ['x.json', JSON.stringify(fields)],
    ['wrapped.json', JSON.stringify({ version: 1, data: fields })],
    ['x.jsonl', fields.map((f) => JSON.stringify(f)).join('\n')],
    ['bom.jsonl', `\ufeff${fields.map((f) => JSON.stringify(f)).join('\r\n')}\r\n`],
    ['utf16.csv', Buffer.from('\ufeffprompt;completion\n"a, ""b""";"line 1\nline 2"\nä;日本\n', 'utf16le')],
    ['x.csv', 'prompt,completion\n"a, ""b""","line 1\nline 2"\nä,日本\n'],
    ['x.tsv', 'prompt\tcompletion\n"a, ""b"""\t"line 1\nline 2"\nä\t日本\n'],
  ])('%s gives the rows that were written', async (name, content) => {
    const { rows, broken } = await readRows(put(name, content));
    expect(broken).toEqual([]);
    expect(rows.map((row) => row.fields)).toEqual(fields);
  });

  it.each(['', '-gzip', '-brotli'])(
    'Parquet%s as pyarrow writes it, lists and several row groups too',
    async (kind) => {
      const { rows } = await readRows(path.join(here, 'fixtures', `instructions${kind}.parquet`));
      expect(rows).toHaveLength(6);
      expect(rows[4]!.fields).toEqual({ instruction: 'Say 4', output: '4!', input_ids: [4, 5] });
      expect(rows[5]!.fields).toEqual({ instruction: 'Größe?', output: '日本', input_ids: [7] });
    },
  );

  it.each(['zstd', 'lz4'])('Parquet-%s: values have the texts that Python gives them', async (codec) => {
    const { rows } = await readRows(path.join(here, 'fixtures', `values-${codec}.parquet`));
    const theirs = JSON.parse(fs.readFileSync(path.join(here, 'fixtures', 'values.json'), 'utf8')) as object[];
    const texts = rows.map(({ fields }) => Object.entries(fields).map(([key, value]) => [key, fieldText(value, key)]));
    expect(texts.map((row) => Object.fromEntries(row) as object)).toEqual(theirs);
  });

  it('plain text by paragraphs', async () => {
    const { rows } = await readRows(put('x.txt', 'one\nstill one\n\n\n two \n'));
    expect(rows.map((row) => row.fields.text)).toEqual(['one\nstill one', 'two']);
  });

  it('a JSONL file of many reads keeps its characters and line numbers', async () => {
    const lines = Array.from({ length: 5000 }, (_, i) => `{"text":"${'日本ä'.repeat(i % 50)}${i}"}`);
    const { rows } = await readRows(put('many.jsonl', lines.join('\n')));
    expect(rows.map((row) => `{"text":"${row.fields.text as string}"}`)).toEqual(lines);
    expect(rows.at(-1)!.row).toBe(5000);
  });

  it('broken rows are named, the others stay', async () => {
    const { rows, broken } = await readRows(put('broken.jsonl', '{"text":"a"}\n{"text":\n7\n\n{"text":"b"}\n'));
    expect(rows.map((row) => row.row)).toEqual([1, 5]);
    expect(broken).toEqual([
      { row: 2, reason: 'not valid JSON' },
      { row: 3, reason: 'not an object with named fields' },
    ]);
  });

  it.each([
    ['empty.jsonl', '', /empty\.jsonl" is empty/],
    ['all-broken.jsonl', 'x\ny\n', /no usable row \(row 1: not valid JSON\)/],
    ['header.csv', 'prompt,completion\n', /no rows below its header/],
    ['x.docx', 'PK', /of no known kind; give one ending in \.json/],
    ['bad.json', '{', /bad\.json is not valid JSON/],
    [
      'other.csv',
      Buffer.from([...Buffer.from('text\n'), 0xcf, 0xf0, 0xe8, 0xe2, 0xe5, 0xf2, 0x0a]),
      /not text in UTF-8/,
    ],
    ['damaged.csv', Buffer.from([...Buffer.from('text\nä ö ü'), 0xff, 0x0a]), /not text in UTF-8/],
    ['cut.json', '[{"text":"a"},{"te', /not valid JSON behind row 1 \(it ends in the middle\)/],
    ['more.json', '[{"text":"a"}] x', /not valid JSON/],
    ['comma.json', '[{"text":"a"},]', /not valid JSON/],
    ['scalar.json', '{"text":"a"}', /holds no list of examples/],
    ['twice.csv', 'text,text\na,b\n', /two columns named "text"/],
    ['cut.jsonl.gz', zlib.gzipSync('{"text":"a"}\n'.repeat(1000)).subarray(0, 40), /can't be unpacked/],
    ['bomb.jsonl.gz', zlib.gzipSync(Buffer.alloc(2 ** 27)), /unpacks to more than 400 times its size/],
    ['wide.jsonl.zst', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0xa0, ...Buffer.alloc(20)]), /can't be unpacked/],
    ['x.parquet.gz', 'PK', /of no known kind/],
    ['bad.parquet', 'PAR1 nonsense PAR1', /can't be read as Parquet/],
  ])('%s is refused in one sentence', async (name, content, message) => {
    await expect(readRows(put(name, content))).rejects.toThrow(message);
  });
});

it('Parquet whose row groups name a column that its schema lacks is refused before its columns are read', async () => {
  const bytes = fs.readFileSync(path.join(here, 'fixtures', 'instructions-gzip.parquet'));
  bytes.set(Buffer.from('elgment'), bytes.lastIndexOf('element'));
  bytes.fill(0xff, 4, 40); // another column's first page, whose error nobody would await
  await expect(readRows(put('lost.parquet', bytes))).rejects.toThrow(/a column that its schema lacks/);
});

describe('what people mean by a file', () => {
  const read = async (name: string, content: string | Buffer) => {
    const { rows, broken } = await readRows(put(name, content));
    return { rows: rows.map(({ fields }) => fields), broken };
  };

  it.each([
    [
      'one column with commas in it',
      'text\nHello, world\na; b | c\n"d, ""e"""\n',
      ['Hello, world', 'a; b | c', 'd, "e"'],
    ],
    ['semicolons, with commas in the text', 'text;n\n1,5 and 2,5;1\na,b;2\n', ['1,5 and 2,5', 'a,b']],
    ['pipes', 'text|n\na, b|1\nc; d|2\n', ['a, b', 'c; d']],
    ['tabs', 'text\tn\na, b\t1\nc; d\t2\n', ['a, b', 'c; d']],
    ['the delimiter that Excel writes above the header', 'sep=;\r\ntext;n\r\na,b;1\r\nc,d;2\r\n', ['a,b', 'c,d']],
    ['a delimiter inside quotes only', 'text,n\n"a;b;c",1\n"d;e;f",2\n', ['a;b;c', 'd;e;f']],
    ['carriage returns alone', 'text,n\ra,1\rb,2\r', ['a', 'b']],
    ['blank lines and a byte-order mark', '\ufefftext,n\r\n\r\na,1\r\n', ['a']],
  ])('CSV: %s', async (_, content, texts) => {
    const { rows, broken } = await read('guess.csv', content);
    expect([rows.map(({ text }) => text), broken]).toEqual([texts, []]);
  });

  it('a quotation mark that is never closed costs its own row, not those behind it', async () => {
    const { rows, broken } = await read('open.csv', 'text,n\n"x,1\ny,2\n"q" w,3\nlast,4\n');
    expect(rows.map(({ n }) => n)).toEqual(['2', '4']);
    expect(broken.map(({ row }) => row)).toEqual([2, 4]);
  });

  it.each([
    ['an array named .jsonl', 'a.jsonl', '[\n{"n":1},\n{"n":2}\n]\n'],
    ['lines named .json', 'a.json', '{"n":1}\n{"n":2}\n'],
    [
      'an object that holds the list among others',
      'b.json',
      '{"a": {"x": [[0]]},\n "rows": [{"n":1}, {"n":2}],\n "b": []}',
    ],
    ['gzip', 'a.jsonl.gz', zlib.gzipSync('{"n":1}\n{"n":2}\n')],
    ['gzip in members', 'b.json.gz', Buffer.concat([zlib.gzipSync('[{"n":1},'), zlib.gzipSync('{"n":2}]')])],
  ])('%s is read', async (_, name, content) => {
    expect((await read(name, content)).rows).toEqual([{ n: 1 }, { n: 2 }]);
  });

  it.each([
    ['{"train":[{"n":1}],"test":[{"n":2}],"more":[{"n":3}],"features":["n"],"none":[]}', 'test, more'],
    ['{"version":1,"data":[{"n":1}],"tags":["x"]}', undefined],
  ])('of the lists beside the one that is read in %s it is said that they are not', async (content, others) => {
    const file = put('several.json', content);
    const source = await openRows(file);
    expect((await batchesOf(source.rows())).flat()).toEqual([{ row: 1, fields: { n: 1 } }]);
    expect(source.notes.length).toBe(others ? 1 : 0);
    if (others) expect(source.notes[0]).toContain(`not ${others};`);
  });

  it.each(['text\nna\xefve \x80\n', 'text\nna\xefve \x80'])('Windows-1252 is guessed, and said', async (content) => {
    const file = put('western.csv', Buffer.from(content, 'latin1'));
    const source = await openRows(file);
    const rows = (await batchesOf(source.rows())).flat();
    expect(rows.map((row) => !isBroken(row) && row.fields.text)).toEqual(['naïve €']);
    expect(source.notes).toEqual([`${file} is no UTF-8; it was read as Windows-1252`]);
  });

  it('numbers keep their digits', async () => {
    const [row] = (await read('digits.jsonl', '{"a":12345678901234567890,"b":1.10,"c":-7,"d":0.5}')).rows;
    expect(Object.values(row!).map((value) => fieldText(value, ''))).toEqual([
      '12345678901234567890',
      '1.10',
      '-7',
      '0.5',
    ]);
  });
});

describe('a source of rows', () => {
  it.each(['many.jsonl', 'many.json', 'many.csv', 'many.txt'])('%s comes in batches, again and again', async (name) => {
    // Longer than one read, so that rows lie across its borders; with characters of several bytes, and quotes.
    const texts = Array.from({ length: 4000 }, (_, i) => `${i} ${'日本"ä, '.repeat(i % 23)}.`);
    const objects = texts.map((text) => JSON.stringify({ text }));
    const content = {
      'many.jsonl': objects.join('\n'),
      'many.json': `[${objects.join(',\n')}]`,
      'many.csv': ['text', ...texts.map((text) => `"${text.replaceAll('"', '""')}"`)].join('\n'),
      'many.txt': texts.join('\n\n'),
    }[name]!;
    const source = await openRows(put(name, content));
    expect(source.columns).toEqual(['text']);
    for (let time = 0; time < 2; time++) {
      const batches = await batchesOf(source.rows());
      expect(batches.length).toBeGreaterThan(3);
      expect(batches.flat().map((row) => !isBroken(row) && row.fields.text)).toEqual(texts);
    }
  });

  it.runIf(process.platform === 'linux')('leaving in the middle leaves no file open', async () => {
    const file = put('left.jsonl', '{"text":"a"}\n'.repeat(50_000));
    const source = await openRows(file);
    for (let i = 0; i < 20; i++) await source.rows()[Symbol.asyncIterator]().return?.();
    for (let i = 0; i < 20; i++) {
      const rows = source.rows()[Symbol.asyncIterator]();
      await rows.next();
      await rows.return?.();
    }
    const open = () =>
      fs.readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return fs.readlinkSync(`/proc/self/fd/${fd}`) === file;
        } catch {
          return false;
        }
      }).length;
    await expect.poll(open).toBe(0);
  });
});

describe('folders', () => {
  const make = (name: string, files: Record<string, string>) => {
    for (const [file, content] of Object.entries(files)) {
      fs.mkdirSync(path.join(folder, name, path.dirname(file)), { recursive: true });
      put(path.join(name, file), content);
    }
    return path.join(folder, name);
  };
  const texts = async (place: string, split?: string) => {
    const rows = (await batchesOf((await openRows(place, { split })).rows())).flat();
    return rows.map((row) => [row.row, !isBroken(row) && row.fields.text]);
  };
  const line = (text: string) => `{"text":"${text}"}\n`;

  it('splits are told by names, several files of one are read in order and numbered through', async () => {
    const place = make('hub', {
      'data/train-00001-of-00002.jsonl': line('c'),
      'data/train-00000-of-00002.jsonl': line('a') + line('b'),
      'data/validation-00000-of-00001.jsonl': line('v'),
      'dev/x.jsonl': line('w'),
      'test.jsonl': line('t'),
      'README.md': 'about it',
    });
    expect(await texts(place)).toEqual([[1, 'a'], [2, 'b'], [3, 'c']]); // prettier-ignore
    expect(await texts(place, 'validation')).toEqual([[1, 'v'], [2, 'w']]); // prettier-ignore
    expect(await texts(place, 'test')).toEqual([[1, 't']]);
    expect((await openRows(place)).notes).toEqual([`${place}: the split train is read, not validation, test`]);
    expect((await openRows(place, { split: 'validation' })).files.map((file) => path.basename(file))).toHaveLength(2);
  });

  it('the splits are those that README.md names, of the configuration that is chosen', async () => {
    const configs = [
      '- config_name: short',
      '  default: true',
      '  data_files:',
      '  - split: train',
      '    path: "a/part-*.jsonl"',
      '  - split: test',
      '    path: [a/judge.jsonl]',
      '- config_name: long',
      '  data_dir: b',
      '  data_files: "**/*.jsonl"',
    ];
    const place = make('card', {
      'README.md': `---\nlicense: mit\nconfigs:\n${configs.join('\n')}\n---\n# About it\n`,
      'a/part-1.jsonl': line('one'),
      'a/part-2.jsonl': line('two'),
      'a/judge.jsonl': line('judge'),
      'b/deep/test.jsonl': line('long'),
      'not-named.jsonl': line('no'),
    });
    const source = await openRows(place);
    expect(source).toMatchObject({ config: 'short', configs: ['short', 'long'], split: 'train', splits: ['train', 'test'] }); // prettier-ignore
    expect(await texts(place)).toEqual([[1, 'one'], [2, 'two']]); // prettier-ignore
    expect(await texts(place, 'test')).toEqual([[1, 'judge']]);
    const long = await openRows(place, { config: 'long' });
    expect(long.files.map((file) => path.basename(path.dirname(file)))).toEqual(['deep']);
    await expect(openRows(place, { config: 'huge' })).rejects.toThrow(
      /no configuration "huge"; name one of "short", "long"/,
    );
  });

  it('of several configurations without a default one is to be named', async () => {
    const place = make('two', {
      'README.md':
        '---\nconfigs:\n- {config_name: a, data_files: x.jsonl}\n- {config_name: b, data_files: y.jsonl}\n---\n',
      'x.jsonl': line('x'),
    });
    await expect(openRows(place)).rejects.toThrow(/several configurations \("a", "b"\); name one with config/);
    await expect(openRows(place, { config: 'b' })).rejects.toThrow(/"train" of "b" is y\.jsonl, and no such file/);
  });

  it('files that name no split are for training', async () => {
    const place = make('plain', { 'latest.jsonl': line('a'), 'more.jsonl': line('b') });
    expect(await texts(place)).toEqual([[1, 'a'], [2, 'b']]); // prettier-ignore
    await expect(openRows(place, { split: 'test' })).rejects.toThrow(/no split "test"; name one of train/);
  });

  it.each([
    ['arrow', { 'data-00000-of-00001.arrow': 'x', 'dataset_info.json': '{}' }, /written by save_to_disk.*to_parquet/],
    ['nothing', { 'README.md': 'x' }, /holds no dataset/],
    ['mixed', { 'a.jsonl': line('a'), 'b.csv': 'text\na\n' }, /data files of several kinds \(\.jsonl, \.csv\)/],
  ])('%s is refused by name', async (name, files, message) => {
    await expect(openRows(make(name, files as Record<string, string>))).rejects.toThrow(message);
  });
});
