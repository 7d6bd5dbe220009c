import { CLIP_PATTERNS } from './clip.ts';
import { GPT2_WORDS } from './cutters.ts';
import { DEFAULT_SPLIT, SPLITS } from './pre-tokenizers.ts';

/** Expressions of well-known makers: their time grows with the text's length and no faster. */
const KNOWN = new Set([
  GPT2_WORDS,
  ...CLIP_PATTERNS,
  ...[...Object.values(SPLITS), DEFAULT_SPLIT].flatMap(({ patterns }) => patterns),
]);

/** True if a tokenizer holds regular expressions that could take for ever on some text. */
export function hasUnknownPatterns(json: unknown): boolean {
  if (Array.isArray(json)) return json.some(hasUnknownPatterns);
  if (typeof json !== 'object' || json === null) return false;
  if ('Regex' in json && typeof json.Regex === 'string' && !KNOWN.has(json.Regex)) return true;
  return Object.values(json).some(hasUnknownPatterns);
}
