import { UserError } from '../../engine/types.ts';
import type { WordModel } from './bpe.ts';
import { characterLength, type Tokens } from './piece.ts';
import type { Vocabulary } from './vocabulary.ts';

/** BERT's model: the longest token from the left, each further one with a prefix; a word that can't be cut so is unknown. */
export class WordPiece implements WordModel {
  constructor(
    readonly vocabulary: Vocabulary,
    private readonly unknownId: number,
    private readonly prefix: string,
    /** longer words, in characters, are unknown */
    private readonly longest: number,
  ) {}

  tokenize(word: string, tokens: Tokens): void {
    const ends: number[] = [];
    for (let i = 0; i < word.length;) ends.push((i += characterLength(word, i)));
    if (ends.length > this.longest) return tokens.add(this.unknownId, 0, word.length);
    const found: [id: number, from: number, to: number][] = [];
    for (let from = 0; from < word.length;) {
      let end = ends.length - 1;
      let id: number | undefined;
      for (; end >= 0 && ends[end]! > from; end--) {
        const text = word.slice(from, ends[end]);
        id = this.vocabulary.id(from > 0 ? this.prefix + text : text);
        if (id !== undefined) break;
      }
      if (id === undefined) return tokens.add(this.unknownId, 0, word.length);
      found.push([id, from, ends[end]!]);
      from = ends[end]!;
    }
    for (const [id, from, to] of found) tokens.add(id, from, to);
  }
}

/** Whole words only. */
export class WordLevel implements WordModel {
  constructor(
    readonly vocabulary: Vocabulary,
    private readonly unknownId: number | undefined,
  ) {}

  tokenize(word: string, tokens: Tokens): void {
    const id = this.vocabulary.id(word) ?? this.unknownId;
    if (id === undefined) throw new UserError(`the tokenizer has no token for "${word}", and none for unknown words`);
    tokens.add(id, 0, word.length);
  }
}
