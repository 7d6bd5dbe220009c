import fs from 'node:fs';
import fsp from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ClipTokenizer } from '../../../src-main/models/diffusion/text/tokenizer.ts';

/** Small CLIP tokenizers with what transformers makes of many texts (data/diffusion/make_texts.py). */
const data = path.join(import.meta.dirname, '../data/diffusion/tokenizers');

interface Case {
  text: string;
  /** with beginning and end, cut and filled */
  ids: number[];
  /** with beginning and end, however long */
  whole: number[];
}

const readJson = (file: string) => JSON.parse(fs.readFileSync(file, 'utf8')) as unknown;

// SDXL's second tokenizer fills with "!", which is then found in texts as a token of its own.
describe.each(['sd', 'sdxl'])('the tokenizer of %s', (kind) => {
  const folder = path.join(data, kind);
  const cases = readJson(path.join(folder, 'expected.json')) as Case[];

  it('gives what transformers gives, cut and filled', async () => {
    const tokenizer = await ClipTokenizer.open(folder, 77);
    expect(tokenizer.length).toBe(12);
    for (const { text, ids } of cases) expect([text, [...tokenizer.encode(text).ids]]).toEqual([text, ids]);
  });

  it('says which end of a text it leaves out', async () => {
    const tokenizer = await ClipTokenizer.open(folder, 77);
    let cut = 0;
    for (const { text, whole } of cases) {
      const { used, left } = tokenizer.encode(text);
      expect(used).toBe(Math.min(whole.length, 12));
      expect(left !== undefined, text).toBe(whole.length > 12);
      if (left === undefined) continue;
      cut++;
      expect(text.endsWith(left)).toBe(true);
      // Where it begins with a word, its tokens are the ones that had no room.
      const isWord = text.at(-left.length - 1) === ' ' && /^[a-z]/.test(left);
      if (isWord) expect([...tokenizer.tokenizer.encode(left), whole.at(-1)]).toEqual(whole.slice(11));
    }
    expect(cut).toBeGreaterThan(5);
    expect(tokenizer.encode('a very long description of a very large picture that does not fit').left).toMatch(/fit$/);
  });
});

describe('a folder', () => {
  const changed = async (change: (folder: string) => void) => {
    const folder = await fsp.mkdtemp(path.join(os.tmpdir(), 'clip-'));
    await fsp.cp(path.join(data, 'sd'), folder, { recursive: true });
    change(folder);
    return folder;
  };

  it.each([
    ['vocab.json', (file: string) => fs.rmSync(file), "vocab.json can't be opened (ENOENT)"],
    ['vocab.json', (file: string) => fs.writeFileSync(file, '{"a": 0}'), 'vocab.json has no token "<|startoftext|>"'],
    ['vocab.json', (file: string) => fs.writeFileSync(file, '[1]'), 'vocab.json is no table of tokens'],
    ['merges.txt', (file: string) => fs.rmSync(file), "merges.txt can't be opened (ENOENT)"],
    ['merges.txt', (file: string) => fs.writeFileSync(file, 'i n\nzq zq'), 'its merge "zq zq"'],
  ])('whose %s is not usable is refused by name', async (name, change, what) => {
    const folder = await changed((place) => change(path.join(place, name)));
    await expect(ClipTokenizer.open(folder, 77)).rejects.toThrow(what);
    await fsp.rm(folder, { recursive: true });
  });

  it('takes no more tokens than the text encoder does', async () => {
    const tokenizer = await ClipTokenizer.open(path.join(data, 'sd'), 7);
    expect(tokenizer.encode('a photo of a cat').ids).toHaveLength(7);
  });
});
