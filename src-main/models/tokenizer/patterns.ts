import { toRegExp } from 'oniguruma-to-es';
import { z } from 'zod';
import { UserError } from '../../engine/types.ts';
import { part, type Piece } from './piece.ts';

/** As tokenizer.json has it. */
export const patternSchema = z.union([z.strictObject({ String: z.string() }), z.strictObject({ Regex: z.string() })]);
export type Pattern = z.infer<typeof patternSchema>;

/** The matches in a text, in order: from, to, from, to ... */
export type Matcher = (text: string) => number[];

/** The longest regular expression that is read; those of real tokenizers have up to 500 characters. */
const MAX_PATTERN = 10_000;

/** Patterns are Oniguruma's (Ruby's), as for the package tokenizers. @throws UserError for one that can't be read */
export function matcher(pattern: Pattern): Matcher {
  if ('String' in pattern) return stringMatcher(pattern.String);
  if (pattern.Regex.length > MAX_PATTERN)
    throw new UserError(`a regular expression has ${pattern.Regex.length} characters; up to ${MAX_PATTERN} are read`);
  try {
    return regexMatcher(toRegExp(pattern.Regex, { global: true }));
  } catch (error) {
    throw new UserError(`the regular expression ${pattern.Regex} can't be read (${(error as Error).message})`);
  }
}

/** @param regex has the flag g */
export function regexMatcher(regex: RegExp): Matcher {
  return (text) => {
    const found: number[] = [];
    regex.lastIndex = 0;
    for (let match = regex.exec(text); match; match = regex.exec(text)) {
      const end = match.index + match[0].length;
      const empty = end === match.index;
      // An empty match right behind another doesn't count.
      if (!empty || found.at(-1) !== end) found.push(match.index, end);
      if (empty) regex.lastIndex += text.codePointAt(end)! > 0xffff ? 2 : 1;
    }
    return found;
  };
}

function stringMatcher(wanted: string): Matcher {
  if (wanted === '') throw new UserError('a pattern is empty');
  return (text) => {
    const found: number[] = [];
    for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length))
      found.push(at, at + wanted.length);
    return found;
  };
}

const BEHAVIORS = ['removed', 'isolated', 'mergedwithprevious', 'mergedwithnext', 'contiguous'] as const;
export type Behavior = (typeof BEHAVIORS)[number];
export const behaviorSchema = z
  .string()
  .transform((name) => name.toLowerCase().replaceAll('_', ''))
  .pipe(z.enum(BEHAVIORS));

interface Cut {
  from: number;
  to: number;
  match: boolean;
}

/** Cuts a piece at matches; what becomes of the matches themselves is `behavior`'s. */
export function splitPiece(piece: Piece, matches: number[], behavior: Behavior, invert = false): Piece[] {
  if (matches.length === 0 && (!invert || behavior !== 'removed')) return piece.text ? [piece] : [];
  const cuts: Cut[] = [];
  let at = 0;
  for (let i = 0; i < matches.length; i += 2) {
    const [from, to] = [matches[i]!, matches[i + 1]!];
    if (at < from) cuts.push({ from: at, to: from, match: invert });
    cuts.push({ from, to, match: !invert });
    at = to;
  }
  if (at < piece.text.length) cuts.push({ from: at, to: piece.text.length, match: invert });
  return joined(cuts, behavior)
    .filter(({ from, to }) => from < to)
    .map(({ from, to }) => part(piece, from, to));
}

function joined(cuts: Cut[], behavior: Behavior): Cut[] {
  if (behavior === 'isolated') return cuts;
  if (behavior === 'removed') return cuts.filter(({ match }) => !match);
  if (behavior === 'mergedwithnext') {
    const mirrored = cuts.map(({ from, to, match }) => ({ from: -to, to: -from, match })).reverse();
    return joined(mirrored, 'mergedwithprevious')
      .map(({ from, to, match }) => ({ from: -to, to: -from, match }))
      .reverse();
  }
  const out: Cut[] = [];
  let before: boolean | undefined = behavior === 'contiguous' ? undefined : false;
  for (const cut of cuts) {
    const joins = behavior === 'contiguous' ? cut.match === before : cut.match && !before;
    const last = out.at(-1);
    if (joins && last) last.to = cut.to;
    else out.push({ ...cut });
    before = cut.match;
  }
  return out;
}
