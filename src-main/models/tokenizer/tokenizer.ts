import { z } from 'zod';
import { UserError } from '../../engine/types.ts';
import type { Tokenizer } from '../types.ts';
import { addedTokenSchema, AddedTokens } from './added-tokens.ts';
import { CHARACTER_BYTES } from './byte-level.ts';
import { bounded } from './bounded.ts';
import type { WordModel } from './bpe.ts';
import { cutting, type Cutter } from './cutters.ts';
import { decoder } from './decoders.ts';
import { hasUnknownPatterns } from './known-patterns.ts';
import { normalizer } from './normalizers.ts';
import { Tokens, type Piece } from './piece.ts';
import { regexMatcher, splitPiece } from './patterns.ts';
import { postProcessor } from './post-processor.ts';
import { readModel } from './read-model.ts';
import { byteOfToken } from './vocabulary.ts';
import { Words } from './words.ts';

/** A tokenizer in the form of Hugging Face's tokenizer.json, with what the format leaves to the caller. */
export interface TokenizerDescription {
  json: object;
  addBos: boolean;
  addEos: boolean;
  bosTokenId?: number;
  eosTokenIds: number[];
  /** ranks of the model's merges where several have one; else each has its place in the list */
  mergeRanks?: number[];
  /** what the user should know of this tokenizer, a sentence each */
  warnings?: string[];
}

const fileSchema = z.looseObject({ added_tokens: z.array(addedTokenSchema).default([]) });

const MARK = '▁';
const marks = regexMatcher(/(?<=[^▁])▁/gu);

/** Where merges never go over the mark that begins a word, words can be looked up one by one, though nothing cuts the text. */
const cutAtMarks = (model: WordModel): Cutter | undefined =>
  model.endsBefore?.(MARK) ? (piece) => splitPiece(piece, marks(piece.text), 'mergedwithnext') : undefined;

/** A tokenizer from its description. @throws UserError for a kind that is not known or one that is broken */
export function createTokenizer(description: TokenizerDescription): Tokenizer {
  const parsed = fileSchema.safeParse(description.json);
  if (!parsed.success)
    throw new UserError(`its ${parsed.error.issues[0]!.path.join('.')}: ${parsed.error.issues[0]!.message}`);
  const json = parsed.data;
  const model = readModel(json.model, description.mergeRanks);
  const { vocabulary } = model;
  const inTime = [json.normalizer, json.pre_tokenizer, json.decoder].some(hasUnknownPatterns)
    ? bounded
    : <T>(_: number, work: () => T) => work();
  // What the functions below use is held as long as the tokenizer: none of them uses the description.
  const { added_tokens: listed, normalizer: given } = json;
  const added = inTime(0, () => new AddedTokens(listed, normalizer(given)));
  const { cut: ownCut, bytes } = cutting(json.pre_tokenizer);
  const cut = ownCut ?? (bytes ? undefined : cutAtMarks(model));
  const words = new Words(model, bytes);
  const around = postProcessor(json.post_processor);
  const decode = decoder(json.decoder);
  const bytesOfCharacters = JSON.stringify(json.decoder ?? null).includes('"ByteLevel"');
  const { addBos, addEos, bosTokenId, eosTokenIds } = description;

  function tokenize(given: string, addSpecialTokens: boolean): Tokens {
    // As in UTF-8: half a character is none.
    const text = given.replace(/\p{Surrogate}/gu, '\ufffd');
    const tokens = new Tokens();
    const first = (id: number) => tokens.add(id, 0, 0);
    const last = (id: number) => tokens.add(id, text.length, text.length);
    if (addSpecialTokens) around.before.forEach(first);
    added.each({ text, at: 0 }, tokens, (piece: Piece) => {
      if (!cut) words.add(piece, tokens);
      else for (const word of cut(piece)) words.add(word, tokens);
    });
    if (!addSpecialTokens) return tokens;
    around.after.forEach(last);
    return tokens;
  }
  function withEnds(text: string, addSpecialTokens = false): Tokens {
    const tokens = inTime(text.length, () => tokenize(text, addSpecialTokens));
    if (addSpecialTokens && addBos && bosTokenId !== undefined && tokens.ids[0] !== bosTokenId) {
      tokens.ids.unshift(bosTokenId);
      tokens.from.unshift(0);
      tokens.to.unshift(0);
    }
    if (addSpecialTokens && addEos && eosTokenIds[0] !== undefined)
      tokens.add(eosTokenIds[0], text.length, text.length);
    return tokens;
  }

  return {
    description,
    bosTokenId,
    eosTokenIds,
    vocabularySize: vocabulary.size + [...added.values()].filter(({ id }) => vocabulary.text(id) === undefined).length,
    encode: (text, { addSpecialTokens } = {}) => withEnds(text, addSpecialTokens).ids,
    encodeWithOffsets(text, { addSpecialTokens } = {}) {
      const { ids, from, to } = withEnds(text, addSpecialTokens);
      return { ids, offsets: from.map((start, i): [number, number] => [start, to[i]!]) };
    },
    decode(ids, { skipSpecialTokens = false } = {}) {
      const tokens: string[] = [];
      for (let i = 0; i < ids.length; i++) {
        const token = added.text(ids[i]!) ?? vocabulary.text(ids[i]!);
        if (token !== undefined && !(skipSpecialTokens && added.get(ids[i]!)?.special)) tokens.push(token);
      }
      return decode ? inTime(ids.length, () => decode(tokens).join('')) : tokens.join(' ');
    },
    tokenBytes(id) {
      const special = added.get(id)?.content;
      return bytesOfToken(special ?? vocabulary.text(id) ?? '', special === undefined && bytesOfCharacters);
    },
  };
}

/** @param characters the token is written in byte characters (GPT-2's) */
function bytesOfToken(token: string, characters: boolean): Uint8Array {
  if (characters) return Uint8Array.from(token, (character) => CHARACTER_BYTES.get(character) ?? 63);
  const byte = byteOfToken(token);
  return byte !== undefined ? Uint8Array.of(byte) : new TextEncoder().encode(token.replaceAll(MARK, ' '));
}
