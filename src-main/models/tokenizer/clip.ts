import type { AddedToken } from './added-tokens.ts';

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
