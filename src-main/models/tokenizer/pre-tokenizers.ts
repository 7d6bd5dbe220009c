/** How a byte-level tokenizer cuts text into words before merging. */
export interface Split {
  /** regular expression; without one, GPT-2's */
  pattern?: string;
  /** NFC first */
  normalize?: boolean;
  /** a word that is a token as a whole is not merged up to */
  wholeWords?: boolean;
}

// 's 't 're 've 'm 'll 'd in either case, spelled out: (?i:) is not in every JavaScript yet.
const CONTRACTIONS = "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]";
const words = (digits: string) =>
  `(?:${CONTRACTIONS})|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

/** Each digit alone, then GPT-2's words. */
export const DIGITS_AND_WORDS: Split = {};
const GPT2: Split = {};
const LLAMA3: Split = { pattern: words('\\p{N}{1,3}'), wholeWords: true };
const QWEN2: Split = { pattern: words('\\p{N}'), normalize: true };

/** By GGUF's tokenizer.ggml.pre (llama.cpp, llama-vocab.cpp). */
export const SPLITS: Record<string, Split> = {
  'gpt-2': GPT2,
  default: GPT2,
  smollm: DIGITS_AND_WORDS,
  'llama-bpe': LLAMA3,
  llama3: LLAMA3,
  'llama-v3': LLAMA3,
  qwen2: QWEN2,
};
