import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ColumnPlan } from '../../src-main/data/columns.ts';
import { openDataset, openSample, readDataset, type DatasetOptions } from '../../src-main/data/dataset.ts';
import { openRecords, writeRecords } from '../../src-main/data/prepared/cache-file.ts';
import { makeRoom } from '../../src-main/engine/cache-room.ts';
import { cacheKey } from '../../src-main/data/prepared/cache-key.ts';
import { recordsOf } from '../../src-main/data/prepared/records.ts';
import { viewOf } from '../../src-main/data/prepared/view.ts';
import { windowsOf } from '../../src-main/data/windows.ts';
import { chatTemplate } from '../../src-main/models/chat-template.ts';
import { byteOptions, byteTokenizer } from './support/byte-tokenizer.ts';
import { digestOf, expected, questions, writeQuestions } from './support/questions.ts';

/** More than a megabyte: what is read on every core and kept. */
const LARGE = 2400;
const options: DatasetOptions = { ...byteOptions(), sequenceLength: 512 };
const PLAN: ColumnPlan = { format: 'completion', columns: { prompt: 'prompt', completion: 'completion' }, media: [] };
let work: string;
let large: string;
const cached = () => path.join(work, 'cache', 'prepared');
const inCache = () => fs.readdirSync(cached()).sort();
const recordFile = () => path.join(cached(), inCache()[0]!);

beforeAll(() => {
  work = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-prepared-'));
  process.env['EFFILORA_CACHE'] = path.join(work, 'cache');
  large = writeQuestions(path.join(work, 'large.jsonl'), LARGE);
  expect(fs.statSync(large).size).toBeGreaterThan(2 ** 20);
});
afterAll(() => {
  delete process.env['EFFILORA_CACHE'];
  fs.rmSync(work, { recursive: true });
});

/** All that is read of the large file. */
async function digest(changes: Partial<DatasetOptions> = {}): Promise<string> {
  const { examples, close } = await openDataset({ path: large }, 0, { ...options, ...changes });
  const all = digestOf(examples);
  close();
  return all;
}

describe('a large dataset', () => {
  it('gives the bytes of its rows in their order, labels, rows and examples, and says what it left out', async () => {
    const { examples, report, close } = await openDataset({ path: large }, 3, options);
    const rows = questions(LARGE);
    const kept = rows.flatMap((row, i) => (row.completion ? [i] : []));
    expect(examples.count).toBe(kept.length);
    let tokens = 0;
    let lossTokens = 0;
    kept.forEach((row, i) => {
      const { inputIds, labels } = expected(rows[row]!, 512);
      tokens += inputIds.length;
      lossTokens += labels.filter((label) => label >= 0).length;
      const { example, ...read } = examples.read(i);
      expect(Buffer.from(Int32Array.from(inputIds).buffer).equals(Buffer.from(read.inputIds.buffer))).toBe(true);
      expect(Buffer.from(Int32Array.from(labels).buffer).equals(Buffer.from(read.labels.buffer))).toBe(true);
      expect([read.row, read.source, examples.size(i)]).toEqual([row + 1, 3, inputIds.length]);
      expect(example).toMatchObject({ kind: 'completion', ...rows[row]! });
    });
    expect(report).toMatchObject({ examples: LARGE, kept: kept.length, parts: kept.length, tokens, lossTokens });
    expect(report.dropped).toEqual([
      { reason: 'the completion is empty', rows: rows.flatMap((row, i) => (row.completion ? [] : [i + 1])) },
    ]);
    close();
    expect(() => examples.read(0)).toThrow(/closed/);
  });

  it('is read as a small one is, part by part', async () => {
    const lines = fs.readFileSync(large, 'utf8').trim().split('\n');
    const small = path.join(work, 'small.jsonl');
    fs.writeFileSync(small, lines.slice(0, 300).join('\n'));
    const { examples, close } = await openDataset({ path: large }, 0, options);
    const first = Array.from({ length: 297 }, (_, i) => examples.read(i));
    const { examples: whole } = await readDataset({ path: small }, 0, options);
    expect(digestOf(whole)).toBe(digestOf(first));
    close();
  });

  it('is prepared once, whatever length is asked for, and again when its content changes', async () => {
    fs.rmSync(cached(), { recursive: true, force: true });
    const before = await digest();
    const [first] = inCache();
    const made = fs.statSync(recordFile());
    expect(await digest()).toBe(before);
    expect(await digest({ sequenceLength: 64 })).not.toBe(before);
    expect(await digest({ sequenceLength: 64, long: 'cut' })).not.toBe(before);
    expect(inCache()).toEqual([first]);
    expect(fs.statSync(recordFile()).ino).toBe(made.ino);
    fs.appendFileSync(large, '{"prompt":"one","completion":"more"}\n');
    expect(await digest()).not.toBe(before);
    expect(inCache()).toHaveLength(2);
    writeQuestions(large, LARGE);
  });

  it('may have any number of rows side by side that can not be used', async () => {
    const file = path.join(work, 'gap.jsonl');
    const rows = questions(LARGE).map((row, i) => (i >= 500 && i < 900 ? { ...row, completion: '' } : row));
    fs.writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n'));
    const { examples, close } = await openDataset({ path: file }, 0, options);
    const kept = rows.flatMap(({ completion }, i) => (completion ? [i + 1] : []));
    expect(Array.from(examples, ({ row }) => row)).toEqual(kept);
    close();
  });

  it('by two processes at once is prepared by one of them, and read the same by both', async () => {
    fs.rmSync(cached(), { recursive: true, force: true });
    const script = path.join(import.meta.dirname, 'support', 'open-once.ts');
    const open = () => promisify(execFile)(process.execPath, ['--import', 'tsx', script, large]);
    const both = await Promise.all([open(), open()]);
    const [one, other] = both.map(({ stdout }) => (JSON.parse(stdout) as { digest: string }).digest);
    expect(one).toBe(other);
    expect(one).toBe(await digest());
    expect(inCache()).toEqual([expect.stringMatching(/^[0-9a-f]{64}\.records$/)]);
  });

  it('is held by its index alone, however large it is', async () => {
    const script = path.join(import.meta.dirname, 'support', 'open-once.ts');
    const held = async (rows: number) => {
      const file = writeQuestions(path.join(work, `${rows}.jsonl`), rows);
      const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', '--import', 'tsx', script, file]);
      return { heldBytes: (JSON.parse(stdout) as { heldBytes: number }).heldBytes, bytes: fs.statSync(file).size };
    };
    const [small, tested] = [await held(LARGE), await held(20_000)];
    const more = tested.bytes - small.bytes;
    expect(more).toBeGreaterThan(4e6);
    // In memory its token ids and labels alone took eight times its bytes.
    expect(tested.heldBytes - small.heldBytes).toBeLessThan(more / 2);
  });

  it('gives a first look at its first rows alone', async () => {
    const { examples, whole, report } = await openSample({ path: large }, 0, options, 50);
    expect([whole, report.examples, examples.count]).toEqual([false, 50, 50]);
    const small = path.join(work, 'few.jsonl');
    writeQuestions(small, 7);
    expect(await openSample({ path: small }, 0, options, 5)).toMatchObject({ whole: true, report: { kept: 7 } });
  });
});

describe('the key', () => {
  const key = (sha = 'a', plan = PLAN, changes: Partial<DatasetOptions> = {}, sheet?: string) =>
    cacheKey(sha, sheet, plan, { ...options, ...changes });

  it('is another for every part that tokens, labels or examples depend on', () => {
    const template = (source: string, bos = '<s>') => chatTemplate(source, { bos }, 'test');
    const keys = [
      key(),
      key('b'),
      key('a', PLAN, {}, 'Data'),
      key('a', { ...PLAN, columns: { prompt: 'completion', completion: 'prompt' } }),
      key('a', { ...PLAN, columns: { ...PLAN.columns, answer: 'completion' } }),
      key('a', { ...PLAN, format: 'instruction' }),
      key('a', PLAN, { loss: 'all' }),
      key('a', PLAN, { vocabularySize: 300 }),
      key('a', PLAN, { tokenizer: byteTokenizer('<stop>') }),
      key('a', PLAN, { tokenizer: undefined }),
      key('a', PLAN, { template: template('{{ messages }}') }),
      key('a', PLAN, { template: template('{{ messages }}', '<b>') }),
      key('a', PLAN, { template: template('{{ messages }} ') }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('is the same for what they do not depend on', () => {
    expect(key('a', { ...PLAN, columns: { completion: 'completion', prompt: 'prompt' } })).toBe(key());
    expect(key('a', PLAN, { sequenceLength: 9, long: 'cut', tokenizer: byteTokenizer() })).toBe(key());
  });
});

describe('the file', () => {
  const file = () => path.join(work, 'some.records');
  async function* chunks() {
    for (const [i, question] of questions(20).entries())
      yield recordsOf([{ row: i + 1, fields: { ...question } }], PLAN, options);
  }
  const all = (records: Parameters<typeof viewOf>[0]) => digestOf(viewOf(records, 0, options).examples);
  let whole: Buffer;
  beforeEach(async () => {
    await writeRecords(file(), chunks(), async () => ['a guess']);
    whole = fs.readFileSync(file());
  });

  it('reads back what was written', async () => {
    const opened = (await openRecords(file()))!;
    expect(opened.facts).toEqual({ rows: 20, dropped: [], notes: ['a guess'] });
    expect(all(opened.records)).toMatch(/^[0-9a-f]{64}$/);
    opened.close();
  });

  it('is not taken with any byte changed, cut anywhere, longer, empty or gone', async () => {
    const isTaken = async (bytes: Buffer) => {
      fs.writeFileSync(file(), bytes);
      const opened = await openRecords(file());
      opened?.close();
      return opened !== undefined;
    };
    expect(await isTaken(whole)).toBe(true);
    const place = fc.integer({ min: 0, max: whole.length - 1 });
    await fc.assert(
      fc.asyncProperty(place, fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const bytes = Buffer.from(whole);
        bytes[at]! ^= change;
        expect(await isTaken(bytes)).toBe(false);
      }),
    );
    await fc.assert(
      fc.asyncProperty(place, async (at) => {
        expect(await isTaken(whole.subarray(0, at))).toBe(false);
      }),
    );
    expect(await isTaken(Buffer.concat([whole, Buffer.from([0])]))).toBe(false);
    fs.rmSync(file());
    expect(await openRecords(file())).toBeUndefined();
  });

  it('opened for its index alone is not read, and says no less of its records', async () => {
    const { records } = (await openRecords(file()))!;
    const bytes = Buffer.from(whole).fill(7, 10, 20);
    fs.writeFileSync(file(), bytes);
    const opened = (await openRecords(file(), true))!;
    const facts = (from: typeof records) =>
      Array.from({ length: from.count }, (_, i) => [from.tokens(i), from.row(i), [...from.runs(i)]]);
    expect(facts(opened.records)).toEqual(facts(records));
    expect(() => opened.records.read(0, 0, 2)).toThrow(/index alone/);
    opened.close();
    expect(await openRecords(file())).toBeUndefined();
    for (const at of [bytes.length - 1, bytes.length - 45, bytes.length - 100]) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 1;
      fs.writeFileSync(file(), damaged);
      expect(await openRecords(file(), true)).toBeUndefined();
    }
  });

  it('damaged in the cache is made anew, and gives the same', async () => {
    fs.rmSync(cached(), { recursive: true, force: true });
    const before = await digest();
    const bytes = fs.readFileSync(recordFile());
    for (const damaged of [bytes.subarray(0, bytes.length / 2), Buffer.from(bytes).fill(7, 1000, 1004)]) {
      fs.writeFileSync(recordFile(), damaged);
      expect(await digest()).toBe(before);
      expect(fs.readFileSync(recordFile()).equals(bytes)).toBe(true);
    }
  });

  it('leaves nothing behind where it is not to be kept', async () => {
    fs.rmSync(file());
    const before = fs.readdirSync(work);
    const refused = writeRecords(file(), chunks(), () => Promise.reject(new Error('it was changed')));
    await expect(refused).rejects.toThrow('it was changed');
    expect(fs.readdirSync(work)).toEqual(before);
  });
});

it('the least recently used go first where the cache is full; the one in use stays, and what is being written', async () => {
  const folder = fs.mkdtempSync(path.join(work, 'room-'));
  const put = (name: string, bytes: number, hoursAgo: number) => {
    const file = path.join(folder, name);
    fs.writeFileSync(file, Buffer.alloc(bytes));
    const at = Date.now() / 1000 - 3600 * hoursAgo;
    fs.utimesSync(file, at, at);
    return file;
  };
  const kept = put('oldest.records', 60, 9);
  put('old.records', 20, 3);
  put('newer.records', 20, 2);
  put('newest.records', 20, 1);
  put('written.records.1.partial', 500, 1);
  put('left.records.2.partial', 500, 30);
  await makeRoom(folder, kept, 100, '.records');
  expect(fs.readdirSync(folder).sort()).toEqual([
    'newer.records',
    'newest.records',
    'oldest.records',
    'written.records.1.partial',
  ]);
});

describe('long examples', () => {
  const runs = fc
    .uniqueArray(fc.integer({ min: 0, max: 60 }), { minLength: 2, maxLength: 12 })
    .map((places) => places.sort((a, b) => a - b).slice(0, 2 * Math.floor(places.length / 2)));

  it('cut into parts: each token with loss is learned once, and no part is longer than asked', () => {
    fc.assert(
      fc.property(runs, fc.integer({ min: 2, max: 30 }), (lossRuns, length) => {
        const carries = (token: number) => lossRuns.findLastIndex((place) => place <= token) % 2 === 0;
        const windows = windowsOf(61, lossRuns, length, 'cut');
        const learned: number[] = [];
        for (const { from, to } of typeof windows === 'string' ? [] : windows) {
          expect(to - from).toBeLessThanOrEqual(length);
          // What a part begins with is predicted by nothing.
          for (let token = from + 1; token < to; token++) if (carries(token)) learned.push(token);
        }
        expect(learned).toEqual(Array.from({ length: 61 }, (_, i) => i).filter((i) => i > 0 && carries(i)));
      }),
    );
  });

  it('are cut, cut off or left out as asked', async () => {
    const text = 'abcdefghij'.repeat(30);
    const file = path.join(work, 'long.jsonl');
    fs.writeFileSync(file, [{ text }, { text: 'short' }].map((row) => JSON.stringify(row)).join('\n'));
    const read = (long: DatasetOptions['long']) =>
      readDataset({ path: file }, 0, { ...options, sequenceLength: 100, long });
    const cut = await read('cut');
    const parts = cut.examples.filter(({ row }) => row === 1);
    expect(cut.report).toMatchObject({ examples: 2, kept: 2, parts: parts.length + 1, truncated: 0, dropped: [] });
    expect(cut.report.lossTokens).toBe(text.length + 1 + 'short'.length + 1);
    const joined = parts.flatMap(({ inputIds }, i) => [...inputIds.slice(i === 0 ? 0 : 1)]);
    expect(Buffer.from(joined.slice(0, -1)).toString()).toBe(text);
    expect(parts.slice(1).every(({ labels }) => labels[0] === -100 && labels[1]! >= 0)).toBe(true);
    expect((await read('truncate')).report).toMatchObject({ kept: 2, truncated: 1, parts: 2 });
    expect((await read('drop')).report).toMatchObject({
      kept: 1,
      dropped: [{ reason: 'longer than 100 tokens', rows: [1] }],
    });
  });
});
