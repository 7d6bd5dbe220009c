import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import { StreamText } from '../../src-main/models/stream-text.ts';
import type { ModelFile, Tokenizer } from '../../src-main/models/types.ts';
import { openLlamaCppVocabularies, type Vocabulary } from '../support/llama-cpp.ts';

const TEXTS = [
  "I'm sure they'll say it's DON'T, we've 'S and o'clock",
  '12345 3.14159 1,000,000 ٣٤٥ x²',
  '  two  spaces\n\n\nthree lines\t\ttabs \n trailing   ',
  'naïve café, e\u0301 combining, ﬁ ligature, Ａ fullwidth',
  '中文字符和日本語のテキスト、한국어',
  '👩‍👩‍👧‍👦🇩🇪🏳️‍🌈 emoji 😀😀',
  'def f(x):\n    return x**2  # …\n\r\n',
  '<|im_start|>user\nHi<|im_end|>\n<start_of_turn>user\nHi<end_of_turn>',
  '\u0000\u0007\ufeff\u200b\u00a0\u3000',
  '▁underline ▁▁ <0x41> <unk> <bos>',
  'a'.repeat(200),
  '!!!???...---===///\\\\\\[[[]]]{{{}}}',
];

/** The text as tokens can give it back: ends of text are not shown, and SentencePiece's \u2581 is a space. */
function shown(text: string, tokenizer: Tokenizer, name: string): string {
  const whole = name === 'gemma3-270m' ? text.replaceAll('▁', ' ') : text;
  return tokenizer.eosTokenIds.reduce((left, id) => left.replaceAll(tokenizer.decode([id]), ''), whole);
}

describe.each(['smollm2-135m', 'gemma3-270m'])("%s's tokenizer", (name) => {
  let file: ModelFile;
  let tokenizer: Tokenizer;
  let judge: Vocabulary;
  beforeAll(async () => {
    const path = await resolveModel(name);
    file = await openTextModel(path);
    tokenizer = file.tokenizer!;
    judge = await (await openLlamaCppVocabularies()).open(path);
  });
  afterAll(async () => {
    await file.close();
    await judge.dispose();
  });

  it.each(TEXTS)('cuts %j as llama.cpp does', (text) => expect(tokenizer.encode(text)).toEqual(judge.tokenize(text)));

  it('cuts any text as llama.cpp does, and puts it together again', () => {
    const words = fc.constantFrom(
      ' ',
      '  ',
      '\n',
      'the',
      "'s",
      'Straße',
      '7',
      '2026',
      'é',
      '漢',
      '😀',
      '.',
      '_',
      '-',
      'ing',
      '\t',
    );
    const text = fc
      .array(fc.oneof(words, fc.string({ maxLength: 8 })), { maxLength: 12 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, (sample) => {
        const ids = tokenizer.encode(sample);
        expect(ids).toEqual(judge.tokenize(sample));
        expect(tokenizer.decode(ids)).toBe(sample);
      }),
      { numRuns: 300, seed: 4 },
    );
  });

  it('streams text in whole characters', () => {
    for (const text of TEXTS) {
      const stream = new StreamText(tokenizer);
      const parts = tokenizer.encode(text).map((id) => stream.push(id));
      for (const part of parts) expect(part).not.toContain('\ufffd');
      expect(parts.join('') + stream.end()).toBe(shown(text, tokenizer, name));
    }
  });
});
