import { z } from 'zod';
import { UserError } from '../../engine/types.ts';
import { byteCharacters } from './byte-level.ts';
import { read } from './cutters.ts';
import { matcher, patternSchema } from './patterns.ts';
import { mapCharacters, part, prepend, Rewriting, type Piece } from './piece.ts';
import { unicodeForm, type Form } from './unicode-forms.ts';

/** Changes a text before it is cut. */
export type Normalizer = (piece: Piece) => Piece;

const typed = z.looseObject({ type: z.string() });
const options = {
  Sequence: z.looseObject({ normalizers: z.array(z.unknown()) }),
  Strip: z.looseObject({ strip_left: z.boolean(), strip_right: z.boolean() }),
  Replace: z.looseObject({ pattern: patternSchema, content: z.string() }),
  Prepend: z.looseObject({ prepend: z.string() }),
  BertNormalizer: z.looseObject({
    clean_text: z.boolean(),
    handle_chinese_chars: z.boolean(),
    strip_accents: z.boolean().nullish(),
    lowercase: z.boolean(),
  }),
};

/** @returns undefined where there is nothing to do @throws UserError for a kind that is not known */
export function normalizer(json: unknown): Normalizer | undefined {
  if (json === null || json === undefined) return undefined;
  const parsed = typed.safeParse(json);
  if (!parsed.success) throw new UserError('its normalizer has no type');
  const step = parsed.data;
  switch (step.type) {
    case 'Sequence': {
      const steps = read(options.Sequence, step).normalizers.map(normalizer);
      return (piece) => steps.reduce((text, change) => (change ? change(text) : text), piece);
    }
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return unicodeForm(step.type satisfies Form);
    case 'Lowercase':
      return lowercase;
    case 'StripAccents':
      return without(/\p{M}/u);
    case 'Strip': {
      const { strip_left: left, strip_right: right } = read(options.Strip, step);
      return (piece) => strip(piece, left, right);
    }
    case 'Replace':
      return replace(read(options.Replace, step));
    case 'Prepend': {
      const before = read(options.Prepend, step).prepend;
      return (piece) => (piece.text === '' || before === '' ? piece : prepend(piece, before));
    }
    case 'Nmt':
      return nmt;
    case 'BertNormalizer':
      return bert(read(options.BertNormalizer, step));
    case 'ByteLevel':
      return byteCharacters;
    default:
      throw new UserError(`its normalizer "${step.type}" is not known`);
  }
}

/** Character by character: without the rule for a sigma at a word's end. */
const lowercase: Normalizer = (piece) =>
  piece.text === piece.text.toLowerCase() ? piece : mapCharacters(piece, (character) => character.toLowerCase());

const without =
  (unwanted: RegExp): Normalizer =>
  (piece) =>
    mapCharacters(piece, (character) => (unwanted.test(character) ? '' : undefined));

function strip(piece: Piece, left: boolean, right: boolean): Piece {
  const { text } = piece;
  const from = left ? text.search(/\P{White_Space}/u) : 0;
  if (from < 0) return part(piece, 0, 0);
  let to = text.length;
  if (right) while (to > from && /\p{White_Space}/u.test(text[to - 1]!)) to--;
  return part(piece, from, to);
}

function replace({ pattern, content }: z.infer<typeof options.Replace>): Normalizer {
  const matches = matcher(pattern);
  return (piece) => {
    const found = matches(piece.text);
    if (found.length === 0) return piece;
    // One unit for one, as with spaces: everything stays in its place.
    if ('String' in pattern && pattern.String.length === 1 && content.length === 1)
      return { ...piece, text: piece.text.replaceAll(pattern.String, content) };
    const rewriting = new Rewriting(piece);
    let at = 0;
    for (let i = 0; i < found.length; i += 2) {
      const [from, to] = [found[i]!, found[i + 1]!];
      rewriting.keep(at, from);
      if (from < to) rewriting.put(content, from, to);
      else rewriting.insert(content, from);
      at = to;
    }
    rewriting.keep(at, piece.text.length);
    return rewriting.finish();
  };
}

const NMT_REMOVED = /[\u0001-\u0008\u000b\u000e-\u001f\u007f\u008f\u009f]/;
const NMT_SPACES = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/;
const nmt: Normalizer = (piece) =>
  mapCharacters(piece, (character) =>
    NMT_REMOVED.test(character) ? '' : NMT_SPACES.test(character) ? ' ' : undefined,
  );

// Unassigned characters (Cn) stay, although the name "other" includes them: they do in the package tokenizers.
const CONTROL = /[\p{Cc}\p{Cf}\p{Co}\u0000\ufffd]/u;
const CHINESE =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/u;
const cleaned: Normalizer = (piece) =>
  mapCharacters(piece, (character) =>
    /[\t\n\r]/.test(character)
      ? ' '
      : CONTROL.test(character)
        ? ''
        : /\p{White_Space}/u.test(character)
          ? ' '
          : undefined,
  );

function bert(options: {
  clean_text: boolean;
  handle_chinese_chars: boolean;
  strip_accents?: boolean | null;
  lowercase: boolean;
}) {
  const accents = options.strip_accents ?? options.lowercase;
  const decompose = unicodeForm('NFD');
  const unmarked = without(/\p{Mn}/u);
  const steps: Normalizer[] = [
    ...(options.clean_text ? [cleaned] : []),
    ...(options.handle_chinese_chars
      ? [(piece: Piece) => mapCharacters(piece, (one) => (CHINESE.test(one) ? ` ${one} ` : undefined))]
      : []),
    ...(accents ? [decompose, unmarked] : []),
    ...(options.lowercase ? [lowercase] : []),
  ];
  return (piece: Piece) => steps.reduce((text, change) => change(text), piece);
}
