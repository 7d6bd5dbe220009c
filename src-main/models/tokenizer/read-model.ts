import { z } from 'zod';
import { UserError } from '../../engine/types.ts';
import { Bpe, type WordModel } from './bpe.ts';
import { PairTable } from './pair-table.ts';
import { Unigram } from './unigram.ts';
import { Vocabulary } from './vocabulary.ts';
import { WordLevel, WordPiece } from './word-list.ts';

/** More tokens than any model has: an id above it is a fault, not a table to make. */
const MAX_TOKENS = 4_000_000;

const bpeSchema = z.looseObject({
  vocab: z.unknown(),
  // not z.array(): half a million merges are looked at one by one below
  merges: z.custom<unknown[]>(Array.isArray, 'is no list'),
  dropout: z.number().nullish(),
  unk_token: z.string().nullish(),
  continuing_subword_prefix: z.string().nullish(),
  end_of_word_suffix: z.string().nullish(),
  fuse_unk: z.boolean().nullish(),
  byte_fallback: z.boolean().nullish(),
  ignore_merges: z.boolean().nullish(),
});
const unigramSchema = z.looseObject({
  vocab: z.array(z.unknown()),
  unk_id: z.number().int().nonnegative().nullish(),
  byte_fallback: z.boolean().nullish(),
});
const wordPieceSchema = z.looseObject({
  vocab: z.unknown(),
  unk_token: z.string(),
  continuing_subword_prefix: z.string().default('##'),
  max_input_chars_per_word: z.number().int().positive().default(100),
});
const wordLevelSchema = z.looseObject({ vocab: z.unknown(), unk_token: z.string() });

/** The model of a tokenizer.json. @param ranks of its merges, unless each has its place in the list @throws UserError for a kind that is not known or one that is broken */
export function readModel(json: unknown, ranks?: number[]): WordModel {
  const model = z.looseObject({ type: z.string().optional() }).safeParse(json);
  if (!model.success) throw new UserError('it has no model');
  switch (model.data.type ?? kindOf(model.data)) {
    case 'BPE':
      return bpe(checked(bpeSchema, json), ranks);
    case 'Unigram':
      return unigram(checked(unigramSchema, json));
    case 'WordPiece': {
      const options = checked(wordPieceSchema, json);
      const vocabulary = new Vocabulary(tokens(options.vocab));
      const unknown = needed(vocabulary, options.unk_token);
      return new WordPiece(vocabulary, unknown, options.continuing_subword_prefix, options.max_input_chars_per_word);
    }
    case 'WordLevel': {
      const options = checked(wordLevelSchema, json);
      const vocabulary = new Vocabulary(tokens(options.vocab));
      return new WordLevel(vocabulary, vocabulary.id(options.unk_token));
    }
    default:
      throw new UserError(
        `its model is of the kind "${model.data.type}"; BPE, Unigram, WordPiece and WordLevel are read`,
      );
  }
}

/** Files from before models named their kind. */
function kindOf(model: object): string {
  if ('merges' in model) return 'BPE';
  if ('vocab' in model && Array.isArray(model.vocab)) return 'Unigram';
  return 'continuing_subword_prefix' in model ? 'WordPiece' : 'WordLevel';
}

function checked<S extends z.ZodType>(schema: S, json: unknown): z.infer<S> {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new UserError(`its model: ${[...path, message].join(': ')}`);
}

function tokens(vocab: unknown): Iterable<[string, number]> {
  if (typeof vocab !== 'object' || vocab === null || Array.isArray(vocab))
    throw new UserError('its model: vocab is no table of tokens');
  return checkedEntries(vocab as Record<string, unknown>);
}

/** One after the other: a quarter of a million at once take long to make. */
function* checkedEntries(vocab: Record<string, unknown>): Generator<[string, number]> {
  for (const text of Object.keys(vocab)) {
    const id = vocab[text];
    checkId(text, id);
    yield [text, id as number];
  }
}

function checkId(text: string, id: unknown): void {
  if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= MAX_TOKENS)
    throw new UserError(`its token "${text}" has the id ${String(id)}; ids are whole numbers from 0 to ${MAX_TOKENS}`);
}

function needed(vocabulary: Vocabulary, text: string): number {
  const id = vocabulary.id(text);
  if (id === undefined) throw new UserError(`its token for unknown text, "${text}", is not in its vocabulary`);
  return id;
}

function bpe(options: z.infer<typeof bpeSchema>, ranks?: number[]): Bpe {
  if (options.dropout) throw new UserError('its BPE has a dropout: a text would get other tokens each time');
  const vocabulary = new Vocabulary(tokens(options.vocab));
  const prefix = options.continuing_subword_prefix ?? '';
  return new Bpe(vocabulary, pairTable(options.merges, vocabulary, prefix, ranks), {
    unknownId: options.unk_token ? needed(vocabulary, options.unk_token) : undefined,
    fuseUnknown: options.fuse_unk ?? false,
    byteFallback: options.byte_fallback ?? false,
    wholeWords: options.ignore_merges ?? false,
    continuingPrefix: prefix,
    endSuffix: options.end_of_word_suffix ?? '',
  });
}

function pairTable(merges: unknown[], vocabulary: Vocabulary, prefix: string, ranks?: number[]): PairTable {
  const pairs = new PairTable(merges.length);
  const id = (text: string, left: string, right: string) => {
    const found = vocabulary.id(text);
    if (found === undefined) throw new UserError(`its merge "${left} ${right}": "${text}" is not in its vocabulary`);
    return found;
  };
  for (let place = 0; place < merges.length; place++) {
    const [left, right] = twoOf(merges[place]);
    const joined = left + (prefix && right.startsWith(prefix) ? right.slice(prefix.length) : right);
    const rank = ranks?.[place] ?? place;
    pairs.set(id(left, left, right), id(right, left, right), rank, id(joined, left, right));
  }
  return pairs;
}

function twoOf(merge: unknown): [string, string] {
  if (Array.isArray(merge) && merge.length === 2 && typeof merge[0] === 'string' && typeof merge[1] === 'string')
    return merge as [string, string];
  if (typeof merge === 'string') {
    const cut = merge.indexOf(' ');
    if (cut > 0 && merge.indexOf(' ', cut + 1) < 0) return [merge.slice(0, cut), merge.slice(cut + 1)];
  }
  throw new UserError(`its merge ${JSON.stringify(merge)} is not two tokens`);
}

function unigram(options: z.infer<typeof unigramSchema>): Unigram {
  const scores = new Float64Array(options.vocab.length);
  const entries = options.vocab.map((entry, id): [string, number] => {
    if (!Array.isArray(entry) || typeof entry[0] !== 'string' || typeof entry[1] !== 'number')
      throw new UserError(`its token ${id} is no text with a score`);
    scores[id] = entry[1];
    return [entry[0], id];
  });
  const unknown = options.unk_id ?? undefined;
  if (unknown !== undefined && unknown >= entries.length)
    throw new UserError(`its token for unknown text, ${unknown}, is not in its vocabulary`);
  return new Unigram(new Vocabulary(entries), scores, unknown, options.byte_fallback ?? false);
}
