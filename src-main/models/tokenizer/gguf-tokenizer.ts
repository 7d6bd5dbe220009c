import { UserError } from '../../engine/types.ts';
import { numbersOf, type GgufHeader } from '../gguf/types.ts';
import { stopTokens } from './gguf-stops.ts';
import { scoredMerges } from './merges.ts';
import { DEFAULT_SPLIT, SPLITS, type Split } from './pre-tokenizers.ts';
import type { TokenizerDescription } from './tokenizer.ts';

type Metadata = GgufHeader['metadata'];

/** GGUF's token types (llama.cpp, llama_token_type). */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;

/** What llama.cpp takes where a file doesn't say which token it is. */
const DEFAULT_IDS = { gpt2: { bos: 11, eos: 11, unknown: undefined }, llama: { bos: 1, eos: 2, unknown: 0 } };

/**
 * Rebuilds the tokenizer from a GGUF's metadata, as llama.cpp reads it.
 * @returns undefined when the file carries none
 * @throws UserError for a kind that is not known
 */
export function tokenizerFromGguf({ metadata }: GgufHeader, path: string): TokenizerDescription | undefined {
  const kind = metadata.get('tokenizer.ggml.model');
  const tokens = metadata.get('tokenizer.ggml.tokens');
  if (kind === undefined || !Array.isArray(tokens)) return undefined;
  if (kind !== 'gpt2' && kind !== 'llama')
    throw new UserError(`${path}: its tokenizer is of the kind "${String(kind)}"; gpt2 and llama are read`);
  const texts = tokens.map((token, id) => (token === '' ? `[EMPTY_${id}]` : String(token)));
  checkLength(metadata, 'scores', texts.length, path);
  checkLength(metadata, 'token_type', texts.length, path);
  const id = (name: string, otherwise?: number) => {
    const given = metadata.get(`tokenizer.ggml.${name}_token_id`);
    const found = typeof given === 'number' && given < texts.length ? given : otherwise;
    return found !== undefined && found < texts.length ? found : undefined;
  };
  const flag = (name: string, otherwise: boolean) => (metadata.get(`tokenizer.ggml.${name}`) ?? otherwise) === true;
  const bosTokenId = id('bos', DEFAULT_IDS[kind].bos);
  const eos = id('eos', DEFAULT_IDS[kind].eos);
  const ends = [eos, id('eot'), id('eom'), ...stopTokens(texts)].filter((end) => end !== undefined);
  const eosTokenIds = [...new Set(ends)];
  const added = addedTokens(metadata, texts, new Set(eosTokenIds));
  const rest = { bosTokenId, eosTokenIds, addEos: flag('add_eos_token', false) };
  if (kind === 'llama') {
    const { merges, ranks } = scoredMerges(texts, scoresOf(metadata));
    const json = sentencePiece(metadata, texts, added, merges, id('unknown', DEFAULT_IDS.llama.unknown));
    return { json, mergeRanks: ranks, addBos: flag('add_bos_token', true), ...rest };
  }
  const { split, warnings } = splitOf(metadata, path);
  const json = byteLevel(metadata, texts, added, split);
  return { json, warnings, addBos: flag('add_bos_token', split.addBos ?? false), ...rest };
}

function checkLength(metadata: Metadata, name: string, tokens: number, path: string): void {
  const list = numbersOf(metadata.get(`tokenizer.ggml.${name}`));
  if (list && list.length < tokens)
    throw new UserError(`${path}: tokenizer.ggml.${name} has ${list.length} entries for ${tokens} tokens`);
}

const scoresOf = (metadata: Metadata): number[] => [...(numbersOf(metadata.get('tokenizer.ggml.scores')) ?? [])];

/** How a gpt2 tokenizer cuts words. @throws UserError for a name that is not known */
function splitOf(metadata: Metadata, path: string): { split: Split; warnings: string[] } {
  const pre = metadata.get('tokenizer.ggml.pre');
  if (pre === undefined || pre === '' || pre === 'default') {
    const said = pre === undefined ? 'names no pre-tokenizer' : `names the pre-tokenizer "${pre}"`;
    const warning = `${path} ${said} (tokenizer.ggml.pre), so its text is cut by llama.cpp's default, maybe otherwise than its makers did; convert the model anew if it answers badly`;
    return { split: DEFAULT_SPLIT, warnings: [warning] };
  }
  const split = Object.hasOwn(SPLITS, String(pre)) ? SPLITS[String(pre)] : undefined;
  if (split) return { split, warnings: [] };
  throw new UserError(
    `${path}: its pre-tokenizer "${String(pre)}" is not known; known are ${Object.keys(SPLITS).join(', ')}`,
  );
}

const vocabulary = (tokens: string[]) => Object.fromEntries(tokens.map((token, id) => [token, id]));

/** Tokens found in the text as they are written. Ends of a turn count among them whatever their type says, as in llama.cpp. */
function addedTokens(metadata: Metadata, tokens: string[], ends: Set<number>): object[] {
  const types = numbersOf(metadata.get('tokenizer.ggml.token_type'));
  const typeOf = (id: number): number => (ends.has(id) ? CONTROL : (types?.[id] ?? 0));
  return tokens.flatMap((content, id) => {
    const type = typeOf(id);
    if (type !== CONTROL && type !== USER_DEFINED && type !== UNKNOWN) return [];
    const special = type !== USER_DEFINED;
    return [{ id, content, special, single_word: false, lstrip: false, rstrip: false, normalized: false }];
  });
}

/** Byte-level BPE (GPT-2's), split into words by the pre-tokenizer the file names. */
function byteLevel(metadata: Metadata, tokens: string[], added: object[], split: Split): object {
  const merges = metadata.get('tokenizer.ggml.merges');
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
  const cuts = split.patterns.map((pattern) => ({
    type: 'Split',
    pattern: { Regex: pattern },
    behavior: 'Isolated',
    invert: false,
  }));
  return {
    version: '1.0',
    added_tokens: added,
    normalizer: split.normalize ? { type: 'NFC' } : null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [...cuts, { ...bytes, use_regex: false }] },
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
function sentencePiece(
  metadata: Metadata,
  tokens: string[],
  added: object[],
  merges: [string, string][],
  unknown: number | undefined,
): object {
  const prefix = metadata.get('tokenizer.ggml.add_space_prefix') !== false;
  const spaces = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  return {
    version: '1.0',
    added_tokens: added,
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
      merges,
      unk_token: unknown === undefined ? null : tokens[unknown],
      byte_fallback: true,
      fuse_unk: true,
    },
  };
}
