import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSplitDataset } from '../../src-main/data/held-out.ts';
import type { PreparedExample } from '../../src-main/data/prepare.ts';
import { byteTokenizer } from './support/byte-tokenizer.ts';

const options = { tokenizer: byteTokenizer(), loss: 'all' as const, sequenceLength: 64, vocabularySize: 1000 };
let folder: string;

/** A folder with files of so many rows, each of them its own text. */
function make(name: string, files: Record<string, number>): string {
  const place = path.join(folder, name);
  fs.mkdirSync(place);
  for (const [file, rows] of Object.entries(files)) {
    const lines = Array.from({ length: rows }, (_, i) => JSON.stringify({ text: `${file} ${i}` }));
    fs.writeFileSync(path.join(place, `${file}.jsonl`), lines.join('\n'));
  }
  return place;
}

/** Which file's rows are trained on and held out, and how many. */
async function parts(place: string, chosen: { heldOut?: string; split?: string } = {}, evalSplit = 0.25) {
  const opened = await openSplitDataset({ path: place, ...chosen }, 0, options, { evalSplit, seed: 0 });
  const of = (examples: Iterable<PreparedExample>) => {
    const texts = Array.from(examples, ({ example }) => (example.kind === 'text' ? example.text.split(' ')[0] : ''));
    return Object.fromEntries([...new Set(texts)].map((file) => [file, texts.filter((one) => one === file).length]));
  };
  const read = { train: of(opened.train), heldOut: of(opened.heldOut) };
  opened.close();
  return read;
}

beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-held-out-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

describe('held out is', () => {
  it('the split validation that came with the dataset, and all of train is trained on', async () => {
    const place = make('three', { train: 8, validation: 3, test: 2 });
    expect(await parts(place)).toEqual({ train: { train: 8 }, heldOut: { validation: 3 } });
    expect(await parts(place, { heldOut: 'test' })).toEqual({ train: { train: 8 }, heldOut: { test: 2 } });
    expect(await parts(place, { heldOut: 'part' })).toEqual({ train: { train: 6 }, heldOut: { train: 2 } });
    expect(await parts(place, { split: 'validation' })).toEqual({ train: { validation: 3 }, heldOut: { test: 2 } });
    expect(await parts(place, {}, 0)).toEqual({ train: { train: 8 }, heldOut: {} });
    expect(await parts(place, { heldOut: 'test' }, 0)).toEqual({ train: { train: 8 }, heldOut: { test: 2 } });
    await expect(parts(place, { heldOut: 'dev' })).rejects.toThrow(
      /no other split "dev".*"part", "test", "validation"/,
    );
    await expect(parts(place, { heldOut: 'train' })).rejects.toThrow(/no other split "train"/);
  });

  it('test where there is no validation, else a part of the rows', async () => {
    expect(await parts(make('two', { train: 8, test: 2 }))).toEqual({ train: { train: 8 }, heldOut: { test: 2 } });
    expect(await parts(make('one', { rows: 8 }))).toEqual({ train: { rows: 6 }, heldOut: { rows: 2 } });
  });
});
