import { createTokenizer } from '../../../src-main/models/tokenizer/tokenizer.ts';
import type { TokenOptions } from '../../../src-main/data/prepare.ts';

/** GPT-2's printable characters of the bytes 0 to 255. */
function byteCharacters(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(printable ? byte : next++);
  });
}

export const END = 256;

/**
 * A tokenizer whose tokens are the bytes of UTF-8, with one more that ends a text: what it gives can be said without it. It cuts texts
 * into words first, as one word of a whole text takes ten times as long.
 */
export const byteTokenizer = (end = '<end>') =>
  createTokenizer({
    json: {
      added_tokens: [
        { id: END, content: end, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
      ],
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: true },
      model: {
        type: 'BPE',
        vocab: Object.fromEntries(byteCharacters().map((character, byte) => [character, byte])),
        merges: [],
      },
      decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
    },
    addBos: false,
    addEos: false,
    eosTokenIds: [END],
  });

export const byteOptions = (): TokenOptions => ({
  tokenizer: byteTokenizer(),
  loss: 'answer',
  vocabularySize: END + 1,
});
