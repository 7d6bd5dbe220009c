import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileReader } from '../../src-main/models/file-reader.ts';
import { readGgufHeader } from '../../src-main/models/gguf/header.ts';
import { ggufValue, writeGguf } from '../../src-main/models/gguf/write.ts';
import { tokenizerFromGguf } from '../../src-main/models/tokenizer/gguf-tokenizer.ts';
import { SPLITS } from '../../src-main/models/tokenizer/pre-tokenizers.ts';
import { createTokenizer } from '../../src-main/models/tokenizer/tokenizer.ts';
import { openLlamaCppVocabularies } from '../support/llama-cpp.ts';

interface Bpe {
  vocab: Record<string, number>;
  merges: [string, string][];
}
const file = new URL('data/tokenizer-kinds.json', import.meta.url);
const fixture = JSON.parse(fs.readFileSync(file, 'utf8')) as { texts: string[]; models: Record<string, Bpe> };
const inOrder = (vocab: Record<string, number>) => Object.entries(vocab).sort((a, b) => a[1] - b[1]);

const TEXTS = [
  ...fixture.texts,
  "ÀÉtude ÀBc aBC ABc iPhone's HTTPServer naïveÉ 'S 'Ve it'D x’s",
  '1234567 12 3456 ١٢٣٤ 漢4567½',
  'price $5+<=>^~|` (x) http://x.y/z?q=1&b',
  'a\n\nb\r\n c \n\n\n\n\t\t  z     ',
  '한국어ㄱㅎ！…“”、ㄅㄆ漢字 ก้า हिन्दी',
];
const MERGES = fixture.models.bytes!;
const CONTROL = 3;

/** Enough for llama.cpp to take a file for a model without weights. */
const MODEL = new Map([
  ['general.architecture', ggufValue.string('llama')],
  ['llama.context_length', ggufValue.u32(128)],
  ['llama.embedding_length', ggufValue.u32(8)],
  ['llama.block_count', ggufValue.u32(1)],
  ['llama.feed_forward_length', ggufValue.u32(8)],
  ['llama.attention.head_count', ggufValue.u32(1)],
  ['llama.attention.layer_norm_rms_epsilon', ggufValue.f32(1e-5)],
]);

let folder: string;
let judges: Awaited<ReturnType<typeof openLlamaCppVocabularies>>;
beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gguf-tokenizers-'));
  judges = await openLlamaCppVocabularies();
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

type Entries = Record<string, Uint8Array>;

/** A tokenizer as a file has it: what we make of it, and llama.cpp. */
async function both(entries: Entries) {
  const path_ = path.join(folder, 'vocabulary.gguf');
  const named = Object.entries(entries).map(([name, value]) => [`tokenizer.ggml.${name}`, value] as const);
  await writeGguf(path_, new Map([...MODEL, ...named]), []);
  const reader = await FileReader.open(path_);
  const header = await readGgufHeader(reader).finally(() => reader.close());
  const description = tokenizerFromGguf(header, path_)!;
  return { description, tokenizer: createTokenizer(description), judge: await judges.open(path_) };
}

/** Byte-level BPE; `more` replaces words of its vocabulary, such as ends of a turn. */
function byteLevel(pre: string | undefined, more: Entries = {}, names: Record<number, string> = {}): Entries {
  const tokens = inOrder(MERGES.vocab).map(([token], id) => names[id] ?? token);
  return {
    model: ggufValue.string('gpt2'),
    ...(pre !== undefined && { pre: ggufValue.string(pre) }),
    tokens: ggufValue.strings(tokens),
    token_type: ggufValue.i32s(tokens.map((_, id) => (id < 3 ? CONTROL : 1))),
    merges: ggufValue.strings(MERGES.merges.map((merge) => merge.join(' '))),
    bos_token_id: ggufValue.u32(1),
    eos_token_id: ggufValue.u32(2),
    ...more,
  };
}

async function expectSame(entries: Entries, texts: string[]): Promise<void> {
  const { description, tokenizer, judge } = await both(entries);
  try {
    for (const text of texts.filter((text) => text !== ''))
      expect(tokenizer.encode(text), text).toEqual(judge.tokenize(text));
    expect(description.addBos).toBe(judge.addsBos);
    expect(description.addEos).toBe(judge.addsEos);
    expect(description.bosTokenId ?? null).toBe(judge.bos);
    const ends = Array.from({ length: tokenizer.vocabularySize }, (_, id) => id).filter((id) => judge.endsText(id));
    expect([...tokenizer.eosTokenIds].sort((a, b) => a - b)).toEqual(ends);
  } finally {
    await judge.dispose();
  }
}

describe('a byte-level tokenizer of a GGUF file', () => {
  // llama.cpp doesn't bring text into NFC, as these tokenizers' makers do.
  const seen = (pre: string) => (SPLITS[pre]?.normalize ? TEXTS.map((text) => text.normalize('NFC')) : TEXTS);

  it.each(Object.keys(SPLITS))('is cut as llama.cpp cuts it: %s', (pre) => expectSame(byteLevel(pre), seen(pre)));

  it.each([undefined, '', 'default'])('without a named way to cut has llama.cpp’s, and a warning: %s', async (pre) => {
    await expectSame(byteLevel(pre), TEXTS);
    const { description, judge } = await both(byteLevel(pre));
    await judge.dispose();
    expect(description.warnings).toEqual([expect.stringContaining('tokenizer.ggml.pre')]);
  });

  it('is refused by name where the way to cut is not known', async () => {
    await expect(both(byteLevel('afmoe'))).rejects.toThrow(/"afmoe" is not known; known are gpt-2, /);
    await expect(both(byteLevel('constructor'))).rejects.toThrow(/"constructor" is not known/);
  });

  it.each<[string, Entries, Record<number, string>]>([
    ['a beginning', { add_bos_token: ggufValue.bool(true) }, {}],
    ['an end', { add_eos_token: ggufValue.bool(true) }, {}],
    ['an end of a turn by its name', {}, { 5: '<|im_end|>' }],
    ['several', { eot_token_id: ggufValue.u32(7) }, { 5: '<|eot_id|>', 6: '<|eom_id|>' }],
  ])('begins and ends texts as llama.cpp has it: %s', async (_, more, names) => {
    await expectSame(byteLevel('gpt-2', more, names), ['Hello <|im_end|> world<|eot_id|>']);
  });

  it('takes <|end|> for the end of a message, not of a turn, where other tokens end turns', async () => {
    const { tokenizer, judge } = await both(byteLevel('gpt-4o', {}, { 5: '<|end|>', 6: '<|return|>', 7: '<|call|>' }));
    await judge.dispose();
    expect(tokenizer.eosTokenIds).toEqual([2, 6, 7]);
  });

  it('begins Llama 3’s texts unless the file says otherwise', async () => {
    await expectSame(byteLevel('llama-bpe'), ['a']);
    await expectSame(byteLevel('llama-bpe', { add_bos_token: ggufValue.bool(false) }), ['a']);
  });

  it('puts one beginning before a text that has one', async () => {
    const { tokenizer, judge } = await both(byteLevel('llama-bpe', { add_eos_token: ggufValue.bool(true) }));
    await judge.dispose();
    const ids = tokenizer.encode('<s>a', { addSpecialTokens: true });
    expect(ids).toEqual([1, ...tokenizer.encode('a'), 2]);
    expect(tokenizer.encode('a', { addSpecialTokens: true })).toEqual(ids);
    expect(tokenizer.encodeWithOffsets('a', { addSpecialTokens: true }).offsets).toEqual([
      [0, 0],
      [0, 1],
      [1, 1],
    ]);
  });
});

describe('a SentencePiece tokenizer of a GGUF file', () => {
  const pieces = inOrder(fixture.models.fallback!.vocab).map(([token]) => token);
  const typeOf = (token: string, id: number) => (id === 0 ? 2 : id < 3 ? CONTROL : /^<0x..>$/.test(token) ? 6 : 1);

  const sentencePiece = (score: (id: number) => number, more: Entries = {}): Entries => ({
    model: ggufValue.string('llama'),
    tokens: ggufValue.strings(pieces),
    token_type: ggufValue.i32s(pieces.map(typeOf)),
    scores: ggufValue.f32s(pieces.map((_, id) => score(id))),
    ...more,
  });

  it.each<[string, Entries]>([
    ['each piece with a score of its own', sentencePiece((id) => -id)],
    ['pieces of the same score', sentencePiece((id) => -Math.floor(id / 7))],
    ['long pieces first', sentencePiece((id) => pieces[id]!.length)],
    ['no space before', sentencePiece((id) => -id, { add_space_prefix: ggufValue.bool(false) })],
    ['no beginning', sentencePiece((id) => -id, { add_bos_token: ggufValue.bool(false) })],
    ['an end', sentencePiece((id) => -id, { add_eos_token: ggufValue.bool(true) })],
    ['ids of its own', sentencePiece((id) => -id, { bos_token_id: ggufValue.u32(2), eos_token_id: ggufValue.u32(1) })],
  ])('is cut as llama.cpp cuts it: %s', (_, entries) => expectSame(entries, TEXTS));
});

it('refuses other kinds by name', async () => {
  await expect(both({ ...byteLevel('gpt-2'), model: ggufValue.string('bert') })).rejects.toThrow(
    'of the kind "bert"; gpt2 and llama are read',
  );
});
