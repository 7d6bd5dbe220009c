import fs from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createTokenizer } from '../../src-main/models/tokenizer/tokenizer.ts';

interface Result {
  ids: number[];
  /** from, to, from, to ... in UTF-16 units */
  spans: number[];
  /** the same ids come without special tokens */
  plain: boolean;
  decoded: string;
  /** decoded without special tokens */
  shown: string;
}
interface Kind {
  name: string;
  model: string;
  parts: object;
  /** what a normalizer makes of several characters has all their span here, and one of them in the package */
  wider: boolean;
  results: Result[];
}
interface Fixture {
  texts: string[];
  models: Record<string, object>;
  kinds: Kind[];
}
const file = new URL('data/tokenizer-kinds.json', import.meta.url);
const { texts, models, kinds } = JSON.parse(fs.readFileSync(file, 'utf8')) as Fixture;

const open = ({ parts, model }: Kind) =>
  createTokenizer({ json: { ...parts, model: models[model] }, addBos: false, addEos: false, eosTokenIds: [] });

describe.each(kinds.map((kind) => [kind.name, kind] as const))('%s, as the package tokenizers has it', (_, kind) => {
  const tokenizer = open(kind);

  it('gives the same ids', () => {
    texts.forEach((text, i) => {
      expect(tokenizer.encode(text, { addSpecialTokens: true }), text).toEqual(kind.results[i]!.ids);
      if (kind.results[i]!.plain) expect(tokenizer.encode(text), text).toEqual(kind.results[i]!.ids);
    });
  });

  it('knows which text each token stands for', () => {
    texts.forEach((text, i) => {
      const { ids, offsets } = tokenizer.encodeWithOffsets(text, { addSpecialTokens: true });
      expect(ids, text).toEqual(kind.results[i]!.ids);
      const { spans } = kind.results[i]!;
      if (!kind.wider) return expect(offsets.flat(), text).toEqual(spans);
      offsets.forEach(([from, to], token) => {
        expect(from, text).toBeLessThanOrEqual(spans[2 * token]!);
        expect(to, text).toBeGreaterThanOrEqual(spans[2 * token + 1]!);
        // Wider by what is one character to a reader, never by a word.
        expect(text.slice(from, spans[2 * token])).not.toMatch(/\w\s|\s\w/);
      });
    });
  });

  it('puts the text together again in the same way', () => {
    kind.results.forEach(({ ids, decoded, shown }) => {
      expect(tokenizer.decode(ids)).toBe(decoded);
      expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(shown);
    });
  });
});

describe('what is not read', () => {
  const words = { type: 'WordLevel', vocab: { a: 0, '<unk>': 1 }, unk_token: '<unk>' };
  const create = (json: object) => () =>
    createTokenizer({ json: { model: words, ...json }, addBos: false, addEos: false, eosTokenIds: [] });

  it.each<[string, object, string]>([
    ['a normalizer', { normalizer: { type: 'Precompiled', precompiled_charsmap: '' } }, '"Precompiled"'],
    ['a pre-tokenizer', { pre_tokenizer: { type: 'Magic' } }, '"Magic"'],
    ['one in a sequence', { pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Magic' }] } }, '"Magic"'],
    ['a post-processor', { post_processor: { type: 'Magic' } }, '"Magic"'],
    ['a decoder', { decoder: { type: 'CTC' } }, '"CTC"'],
    ['a model', { model: { type: 'Magic' } }, '"Magic"'],
    ['a model that throws dice', { model: { type: 'BPE', vocab: { a: 0 }, merges: [], dropout: 0.1 } }, 'dropout'],
    ['a merge of nothing', { model: { type: 'BPE', vocab: { a: 0 }, merges: ['a b'] } }, '"b"'],
    ['an id too large', { model: { type: 'BPE', vocab: { a: 4e9 }, merges: [] } }, '4000000000'],
    [
      'a broken pattern',
      { pre_tokenizer: { type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated', invert: false } },
      'regular expression (',
    ],
    ['an unknown behaviour', { pre_tokenizer: { type: 'Punctuation', behavior: 'Loud' } }, 'Punctuation'],
  ])('is refused by name: %s', (_, json, named) => {
    expect(create(json)).toThrow(
      expect.objectContaining({ name: 'UserError', message: expect.stringContaining(named) }),
    );
  });
});
