import { UserError } from '../../engine/types.ts';
import type { GgufHeader, GgufValue } from '../gguf/types.ts';
import { DIGITS_AND_WORDS, SPLITS } from './pre-tokenizers.ts';
import { mergesFromScores } from './merges.ts';
import type { TokenizerDescription } from './tokenizer.ts';

/** GGUF's token types: 2 unknown, 3 control, 4 user-defined, 6 byte (llama.cpp, llama_token_type). */
const CONTROL = 3;
const USER_DEFINED = 4;

/**
 * Rebuilds the tokenizer from a GGUF's metadata.
 * @returns undefined when the file carries none
 * @throws UserError for a kind that is not known
 */
export function tokenizerFromGguf({ metadata }: GgufHeader, path: string): TokenizerDescription | undefined {
  const kind = metadata.get('tokenizer.ggml.model');
  const tokens = metadata.get('tokenizer.ggml.tokens');
  if (kind === undefined || !Array.isArray(tokens)) return undefined;
  const flag = (name: string, otherwise: boolean) => (metadata.get(`tokenizer.ggml.${name}`) ?? otherwise) === true;
  const id = (name: string) => metadata.get(`tokenizer.ggml.${name}_token_id`);
  const bos = id('bos');
  const json =
    kind === 'gpt2'
      ? byteLevel(metadata, tokens, path)
      : kind === 'llama'
        ? sentencePiece(metadata, tokens)
        : undefined;
  if (!json) throw new UserError(`${path}: its tokenizer is of the kind "${String(kind)}"; gpt2 and llama are read`);
  return {
    json,
    addBos: flag('add_bos_token', kind === 'llama'),
    addEos: flag('add_eos_token', false),
    bosTokenId: typeof bos === 'number' ? bos : undefined,
    eosTokenIds: [...new Set([id('eos'), id('eot'), id('eom')].filter((x) => typeof x === 'number'))],
  };
}

const vocabulary = (tokens: GgufValue[]) => Object.fromEntries(tokens.map((token, id) => [token, id]));

function addedTokens(metadata: GgufHeader['metadata'], tokens: GgufValue[]): object[] {
  const types = metadata.get('tokenizer.ggml.token_type');
  if (!Array.isArray(types)) return [];
  return types.flatMap((type, id) =>
    type === CONTROL || type === USER_DEFINED
      ? [
          {
            id,
            content: tokens[id],
            special: type === CONTROL,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
          },
        ]
      : [],
  );
}

/** Byte-level BPE (GPT-2's), split into words by the pre-tokenizer the file names. */
function byteLevel(metadata: GgufHeader['metadata'], tokens: GgufValue[], path: string): object {
  const pre = String(metadata.get('tokenizer.ggml.pre') ?? 'gpt-2');
  const split = SPLITS[pre];
  if (split === undefined)
    throw new UserError(
      `${path}: its pre-tokenizer "${pre}" is not known; known are ${Object.keys(SPLITS).join(', ')}`,
    );
  const merges = metadata.get('tokenizer.ggml.merges');
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
  const preTokenizers =
    split === DIGITS_AND_WORDS
      ? [
          // Not the type Digits: that one knows ASCII digits only.
          { type: 'Split', pattern: { Regex: '\\p{N}' }, behavior: 'Isolated', invert: false },
          { ...bytes, use_regex: true },
        ]
      : split.pattern
        ? [
            { type: 'Split', pattern: { Regex: split.pattern }, behavior: 'Isolated', invert: false },
            { ...bytes, use_regex: false },
          ]
        : [{ ...bytes, use_regex: true }];
  return {
    version: '1.0',
    added_tokens: addedTokens(metadata, tokens),
    normalizer: split.normalize ? { type: 'NFC' } : null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: preTokenizers },
    post_processor: null,
    decoder: { ...bytes, use_regex: true },
    model: {
      type: 'BPE',
      vocab: vocabulary(tokens),
      merges: Array.isArray(merges) ? merges : [],
      ignore_merges: split.wholeWords ?? false,
      byte_fallback: false,
      fuse_unk: false,
    },
  };
}

/** SentencePiece BPE: pieces with scores; merges follow from them, unknown characters become bytes. */
function sentencePiece(metadata: GgufHeader['metadata'], tokens: GgufValue[]): object {
  const scores = metadata.get('tokenizer.ggml.scores');
  const unknown = metadata.get('tokenizer.ggml.unknown_token_id');
  const prefix = metadata.get('tokenizer.ggml.add_space_prefix') !== false;
  const spaces = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  return {
    version: '1.0',
    added_tokens: addedTokens(metadata, tokens),
    normalizer: { type: 'Sequence', normalizers: prefix ? [{ type: 'Prepend', prepend: '▁' }, spaces] : [spaces] },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'BPE',
      vocab: vocabulary(tokens),
      merges: mergesFromScores(tokens.map(String), Array.isArray(scores) ? scores.map(Number) : []),
      unk_token: typeof unknown === 'number' ? String(tokens[unknown]) : null,
      byte_fallback: true,
      fuse_unk: true,
    },
  };
}
