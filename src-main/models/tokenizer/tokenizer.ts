import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import type { Tokenizer } from '../types.ts';
import type { TokenizerDescription } from './gguf-tokenizer.ts';

/** GPT-2 writes bytes as printable characters: itself where it is one, else from U+0100 on, in order. */
const CHARACTER_BYTE = new Map<string, number>();
let next = 256;
for (let byte = 0; byte < 256; byte++) {
  const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  CHARACTER_BYTE.set(String.fromCharCode(printable ? byte : next++), byte);
}

/** A tokenizer from its description; the splitting and merging is @huggingface/tokenizers'. */
export function createTokenizer(description: TokenizerDescription, config: object = {}): Tokenizer {
  const inner = new HuggingFaceTokenizer(description.json, config);
  const { addBos, addEos, bosTokenId, eosTokenIds } = description;
  const bytesOfCharacters = usesByteLevel(description.json);
  const special = new Map([...inner.get_added_tokens_decoder()].map(([id, token]) => [id, token.content]));
  return {
    bosTokenId,
    eosTokenIds,
    vocabularySize: inner.get_vocab(true).size,
    encode(text, { addSpecialTokens = false } = {}) {
      const ids = inner.encode(text, { add_special_tokens: addSpecialTokens }).ids;
      if (addSpecialTokens && addBos && bosTokenId !== undefined && ids[0] !== bosTokenId) ids.unshift(bosTokenId);
      if (addSpecialTokens && addEos && eosTokenIds[0] !== undefined) ids.push(eosTokenIds[0]);
      return ids;
    },
    decode(ids, { skipSpecialTokens = false } = {}) {
      if (ids.length === 0) return '';
      return inner.decode(Array.from(ids), {
        skip_special_tokens: skipSpecialTokens,
        clean_up_tokenization_spaces: false,
      });
    },
    tokenBytes(id) {
      const added = special.get(id);
      const token = added ?? inner.id_to_token(id) ?? '';
      if (added === undefined && bytesOfCharacters)
        return Uint8Array.from(token, (character) => CHARACTER_BYTE.get(character) ?? 63);
      const [, byte] = /^<0x([0-9A-F]{2})>$/.exec(token) ?? [];
      return byte ? Uint8Array.of(parseInt(byte, 16)) : new TextEncoder().encode(token.replaceAll('▁', ' '));
    },
  };
}

/** True if tokens are written in GPT-2's byte characters. */
function usesByteLevel(json: object): boolean {
  return JSON.stringify((json as { decoder?: unknown }).decoder ?? null).includes('ByteLevel');
}
