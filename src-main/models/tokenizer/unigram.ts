import { UserError } from '../../engine/types.ts';
import type { WordModel } from './bpe.ts';
import { characterLength, type Tokens } from './piece.ts';
import { Trie } from './trie.ts';
import type { Vocabulary } from './vocabulary.ts';

/** What an unknown character costs below the worst piece (SentencePiece, kUnkPenalty). */
const UNKNOWN_PENALTY = 10;

/** SentencePiece's unigram model: the cut whose pieces' scores sum up highest. */
export class Unigram implements WordModel {
  private readonly trie = new Trie();
  private readonly unknownScore: number;

  /** @param scores by id, natural logarithms */
  constructor(
    readonly vocabulary: Vocabulary,
    private readonly scores: Float64Array,
    private readonly unknownId: number | undefined,
    private readonly byteFallback: boolean,
  ) {
    for (const [text, id] of vocabulary.entries()) if (text !== '') this.trie.insert(text, id);
    this.unknownScore = scores.reduce((least, score) => Math.min(least, score), Infinity) - UNKNOWN_PENALTY;
  }

  tokenize(word: string, tokens: Tokens): void {
    const { start, ids } = this.bestPath(word);
    const cuts: number[] = [];
    for (let end = word.length; end > 0; end = start[end]!) cuts.push(end);
    let from = 0;
    for (let i = cuts.length - 1; i >= 0; i--) {
      // Unknown characters side by side are one token.
      while (ids[cuts[i]!] === this.unknownId && i > 0 && ids[cuts[i - 1]!] === this.unknownId) i--;
      this.add(word, from, cuts[i]!, tokens);
      from = cuts[i]!;
    }
  }

  private add(word: string, from: number, to: number, tokens: Tokens): void {
    const text = word.slice(from, to);
    const id = this.vocabulary.id(text);
    const bytes = id === undefined && this.byteFallback ? this.vocabulary.byteIds(text) : undefined;
    if (bytes) {
      for (let i = from; i < to; i += characterLength(word, i)) {
        const end = i + characterLength(word, i);
        for (const byte of this.vocabulary.byteIds(word.slice(i, end))!) tokens.add(byte, i, end);
      }
    } else tokens.add(id ?? this.needUnknown(), from, to);
  }

  private needUnknown(): number {
    if (this.unknownId === undefined)
      throw new UserError('the tokenizer has no token for a character of this text, and none for unknown ones');
    return this.unknownId;
  }

  /** for each end of a best path: where its last piece starts, and its id */
  private bestPath(word: string) {
    const best = new Float64Array(word.length + 1);
    const start = new Int32Array(word.length + 1).fill(-1);
    const ids = new Int32Array(word.length + 1);
    for (let at = 0; at < word.length; at += characterLength(word, at)) {
      const till = best[at]!;
      const single = at + characterLength(word, at);
      let hasSingle = false;
      const offer = (end: number, score: number, id: number) => {
        if (start[end] !== -1 && !(score > best[end]!)) return;
        best[end] = score;
        start[end] = at;
        ids[end] = id;
      };
      this.trie.each(word, at, (id, end) => {
        offer(end, this.scores[id]! + till, id);
        if (end === single) hasSingle = true;
      });
      if (!hasSingle) offer(single, this.unknownScore + till, this.needUnknown());
    }
    return { start, ids };
  }
}
