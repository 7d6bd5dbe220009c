import { z } from 'zod';
import { UserError } from '../../engine/types.ts';
import { byteCharacters } from './byte-level.ts';
import { behaviorSchema, matcher, patternSchema, regexMatcher, splitPiece, type Behavior } from './patterns.ts';
import { characterLength, mapCharacters, part, prepend, startOf, type Piece } from './piece.ts';
import { scriptOf } from './scripts.ts';

/** Cuts a piece of text into words (a "pre-tokenizer"); may also rewrite them. */
export type Cutter = (piece: Piece) => Piece[];

/** GPT-2's words. */
export const GPT2_WORDS = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

const prependSchema = z.enum(['first', 'always', 'never']);
const step = {
  ByteLevel: z.looseObject({ add_prefix_space: z.boolean().default(true), use_regex: z.boolean().default(true) }),
  Digits: z.looseObject({ individual_digits: z.boolean().default(false) }),
  Punctuation: z.looseObject({ behavior: behaviorSchema.default('isolated') }),
  Split: z.looseObject({ pattern: patternSchema, behavior: behaviorSchema, invert: z.boolean().default(false) }),
  Metaspace: z.looseObject({
    replacement: z.string().default('▁'),
    prepend_scheme: prependSchema.optional(),
    // before `prepend_scheme` there was this
    add_prefix_space: z.boolean().optional(),
    split: z.boolean().default(true),
  }),
  CharDelimiterSplit: z.looseObject({ delimiter: z.string() }),
  FixedLength: z.looseObject({ length: z.number().int().positive().default(5) }),
  Sequence: z.looseObject({ pretokenizers: z.array(z.unknown()) }),
};

/** How Metaspace begins a text: its prepend_scheme, or what was said in its place before. */
export const metaspaceScheme = (step: z.infer<typeof metaspaceSchema>) =>
  step.prepend_scheme ?? (step.add_prefix_space === false ? 'never' : 'always');
export const metaspaceSchema = step.Metaspace;

const SPACES = () => /\p{White_Space}/gu;
const PUNCTUATION = () => /[!-\/:-@[-`{-~\p{P}]/gu;
const WORD = String.raw`\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}`;
export const WORD_CHARACTER = new RegExp(`[${WORD}]`, 'u');

const splitter =
  (regex: RegExp, behavior: Behavior): Cutter =>
  (piece) =>
    splitPiece(piece, regexMatcher(regex)(piece.text), behavior);

const inTurn = (cutters: Cutter[]): Cutter =>
  cutters.length === 1 ? cutters[0]! : (piece) => cutters.reduce((pieces, cut) => pieces.flatMap(cut), [piece]);

/** What comes of `pre_tokenizer`: cutters, and whether the words are to be read as bytes in the end. */
export interface Cutting {
  cut?: Cutter;
  bytes: boolean;
}

/** @throws UserError for a kind that is not known */
export function cutting(json: unknown): Cutting {
  if (json === null || json === undefined) return { bytes: false };
  const steps = flatSteps(json);
  // Bytes last of all: then the words can be looked up as they are in the text.
  const bytes = steps.at(-1)?.type === 'ByteLevel';
  const cutters = steps
    .map((one, i) => cutter(one, bytes && i === steps.length - 1))
    .filter((cut) => cut !== undefined);
  return { cut: cutters.length > 0 ? inTurn(cutters) : undefined, bytes };
}

const typed = z.looseObject({ type: z.string() });
type Step = z.infer<typeof typed>;

function flatSteps(json: unknown): Step[] {
  const one = typed.safeParse(json);
  if (!one.success) throw new UserError('its pre_tokenizer has no type');
  if (one.data.type !== 'Sequence') return [one.data];
  return read(step.Sequence, one.data).pretokenizers.flatMap(flatSteps);
}

/** A step's options. @throws UserError naming the step and the option */
export function read<S extends z.ZodType>(schema: S, json: Step): z.infer<S> {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new UserError(`its ${json.type}: ${[...path, message].join(': ')}`);
}

function cutter(json: Step, last: boolean): Cutter | undefined {
  switch (json.type) {
    case 'ByteLevel':
      return byteLevel(read(step.ByteLevel, json), last);
    case 'Digits':
      return splitter(/\p{N}/gu, read(step.Digits, json).individual_digits ? 'isolated' : 'contiguous');
    case 'Punctuation':
      return splitter(PUNCTUATION(), read(step.Punctuation, json).behavior);
    case 'Whitespace': {
      const words = regexMatcher(new RegExp(`[${WORD}]+|[^\\p{White_Space}${WORD}]+`, 'gu'));
      return (piece) => splitPiece(piece, words(piece.text), 'removed', true);
    }
    case 'WhitespaceSplit':
      return splitter(SPACES(), 'removed');
    case 'BertPreTokenizer':
      return inTurn([splitter(SPACES(), 'removed'), splitter(PUNCTUATION(), 'isolated')]);
    case 'Metaspace':
      return metaspace(read(step.Metaspace, json));
    case 'Split': {
      const { pattern, behavior, invert } = read(step.Split, json);
      const matches = matcher(pattern);
      return (piece) => splitPiece(piece, matches(piece.text), behavior, invert);
    }
    case 'CharDelimiterSplit': {
      const matches = matcher({ String: read(step.CharDelimiterSplit, json).delimiter });
      return (piece) => splitPiece(piece, matches(piece.text), 'removed');
    }
    case 'UnicodeScripts':
      return byScript;
    case 'FixedLength':
      return fixedLength(read(step.FixedLength, json).length);
    default:
      throw new UserError(`its pre-tokenizer "${json.type}" is not known`);
  }
}

function byteLevel(options: { add_prefix_space: boolean; use_regex: boolean }, last: boolean): Cutter | undefined {
  const matches = options.use_regex ? matcher({ Regex: GPT2_WORDS }) : undefined;
  if (last && !matches && !options.add_prefix_space) return undefined;
  return (piece) => {
    const prefixed = options.add_prefix_space && piece.text && piece.text[0] !== ' ' ? prepend(piece, ' ') : piece;
    const words = matches ? splitPiece(prefixed, matches(prefixed.text), 'isolated') : [prefixed];
    return last ? words : words.map(byteCharacters);
  };
}

function metaspace(options: z.infer<typeof metaspaceSchema>): Cutter {
  const { replacement, split } = options;
  const scheme = metaspaceScheme(options);
  const marks = matcher({ String: replacement });
  return (piece) => {
    if (piece.text === '') return [];
    let marked = withoutSpaces(piece, replacement);
    const first = scheme === 'always' || (scheme === 'first' && startOf(piece, 0) === 0);
    if (first && !marked.text.startsWith(replacement)) marked = prepend(marked, replacement);
    return split ? splitPiece(marked, marks(marked.text), 'mergedwithnext') : [marked];
  };
}

/** Spaces as `mark`: where that is one unit, each stays in its place. */
function withoutSpaces(piece: Piece, mark: string): Piece {
  if (!piece.text.includes(' ')) return piece;
  if (mark.length === 1) return { ...piece, text: piece.text.replaceAll(' ', mark) };
  return mapCharacters(piece, (character) => (character === ' ' ? mark : undefined));
}

/** Where the script changes; Hiragana, Katakana and Han are one, spaces go with what is before them (at the start: nowhere). */
function byScript(piece: Piece): Piece[] {
  const cuts: number[] = [];
  let last: string | undefined;
  for (let i = 0; i < piece.text.length; i += characterLength(piece.text, i)) {
    const script = scriptOf(piece.text.codePointAt(i)!);
    if (script === undefined || script === last) continue;
    cuts.push(i);
    last = script;
  }
  return cuts.map((from, i) => part(piece, from, cuts[i + 1] ?? piece.text.length));
}

const fixedLength =
  (length: number): Cutter =>
  (piece) => {
    const pieces: Piece[] = [];
    let from = 0;
    let characters = 0;
    for (let i = 0; i < piece.text.length;) {
      i += characterLength(piece.text, i);
      if (++characters % length === 0 || i === piece.text.length) {
        pieces.push(part(piece, from, i));
        from = i;
      }
    }
    return pieces;
  };
