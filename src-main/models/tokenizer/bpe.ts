import { mergeAll } from './merging.ts';
import type { PairTable } from './pair-table.ts';
import { characterLength, type Tokens } from './piece.ts';
import type { Vocabulary } from './vocabulary.ts';

/** Cuts one word into tokens. */
export interface WordModel {
  readonly vocabulary: Vocabulary;
  /** true if no token but runs of `mark` alone holds one behind another character: text can be cut before each run of them */
  endsBefore?(mark: string): boolean;
  /** adds the word's tokens, with spans in the word's UTF-16 units */
  tokenize(word: string, tokens: Tokens): void;
}

export interface BpeOptions {
  unknownId?: number;
  /** unknown characters side by side become one token */
  fuseUnknown: boolean;
  /** unknown characters become their bytes' tokens */
  byteFallback: boolean;
  /** a word that is a token as a whole is taken without merging */
  wholeWords: boolean;
  /** before every character of a word but the first */
  continuingPrefix: string;
  /** behind a word's last character */
  endSuffix: string;
}

/** Byte-pair encoding: a word's characters, joined by the order of the merges. */
export class Bpe implements WordModel {
  constructor(
    readonly vocabulary: Vocabulary,
    private readonly pairs: PairTable,
    private readonly options: BpeOptions,
  ) {}

  endsBefore(mark: string): boolean {
    if (this.options.wholeWords || this.options.continuingPrefix || this.options.endSuffix) return false;
    if (this.vocabulary.id(mark) === undefined) return false;
    const inside = new RegExp(`[^${mark}]${mark}`, 'u');
    for (const [token] of this.vocabulary.entries()) if (inside.test(token)) return false;
    return true;
  }

  tokenize(word: string, tokens: Tokens): void {
    const whole = this.options.wholeWords ? this.vocabulary.id(word) : undefined;
    if (whole !== undefined) return tokens.add(whole, 0, word.length);
    this.characters(word, tokens);
    mergeAll(tokens, this.pairs);
  }

  /**
   * The word's characters as tokens. A run of unknown characters is held back until a known one ends it, and byte tokens don't:
   * as in the package tokenizers, whose tokens come in that order.
   */
  private characters(word: string, tokens: Tokens): void {
    const { continuingPrefix, endSuffix, unknownId, fuseUnknown, byteFallback } = this.options;
    let unknownFrom = -1;
    let unknownTo = -1;
    const flush = () => {
      if (unknownFrom >= 0) tokens.add(unknownId!, unknownFrom, unknownTo);
      unknownFrom = -1;
    };
    for (let i = 0; i < word.length;) {
      const end = i + characterLength(word, i);
      let text = end - i === 1 ? word[i]! : word.slice(i, end);
      if (i > 0) text = continuingPrefix + text;
      if (end === word.length) text += endSuffix;
      const id = this.vocabulary.id(text);
      if (id !== undefined) {
        flush();
        tokens.add(id, i, end);
      } else {
        const bytes = byteFallback ? this.vocabulary.byteIds(text) : undefined;
        if (bytes) for (const byte of bytes) tokens.add(byte, i, end);
        else if (unknownId !== undefined) {
          if (!fuseUnknown) flush();
          if (unknownFrom < 0) unknownFrom = i;
          unknownTo = end;
        }
      }
      i = end;
    }
    flush();
  }
}
