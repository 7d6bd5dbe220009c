import type { AddedToken } from './added-tokens.ts';
import { CHARACTER_BYTES } from './byte-level.ts';

/** CLIP's words: contractions, letters, single digits, signs. */
const CLIP_WORDS = String.raw`'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`;
const CLIP_WORDS_AND_ENDS = String.raw`<\|startoftext\|>|<\|endoftext\|>|${CLIP_WORDS}`;
const SPACES = String.raw`\s+`;

/** The expressions that CLIP's tokenizers are made of. */
export const CLIP_PATTERNS = [CLIP_WORDS, CLIP_WORDS_AND_ENDS, SPACES];

/** CLIP's tokenizer in the form of tokenizer.json, as transformers makes it where a folder has its vocabulary and merges alone. */
export function clipTokenizerJson(
  vocab: Record<string, number>,
  merges: string[],
  ends: { bos: string; eos: string; unknown: string },
  added: AddedToken[],
): object {
  const end = (text: string) => [text, vocab[text]];
  return {
    added_tokens: added,
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'NFC' },
        { type: 'Replace', pattern: { Regex: SPACES }, content: ' ' },
        { type: 'Lowercase' },
      ],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: CLIP_WORDS_AND_ENDS }, behavior: 'Removed', invert: true },
        { type: 'ByteLevel', add_prefix_space: false },
      ],
    },
    post_processor: { type: 'RobertaProcessing', sep: end(ends.eos), cls: end(ends.bos) },
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', unk_token: ends.unknown, end_of_word_suffix: '</w>', vocab, merges },
  };
}

/** The lines of a merges.txt: two tokens each, in the order of their ranks; the first may say the version. */
export const mergesOf = (text: string): string[] =>
  text.split(/\r?\n/).filter((line, i) => line !== '' && !(i === 0 && line.startsWith('#version')));

/** CLIP's vocabulary, which follows from its merges: all bytes, the same at a word's end, what the merges make, beginning and end. */
export function vocabularyOf(merges: string[], ends: string[]): Record<string, number> {
  // Those that stand for themselves first, as it happens by their codes.
  const bytes = [...CHARACTER_BYTES.keys()].sort();
  const texts = [...bytes, ...bytes.map((byte) => `${byte}</w>`), ...merges.map((line) => line.replace(' ', '')), ...ends]; // prettier-ignore
  return Object.fromEntries(texts.map((text, id) => [text, id]));
}
