import type { WordModel } from './bpe.ts';
import { byteCharacters } from './byte-level.ts';
import { endOf, startOf, Tokens, type Piece } from './piece.ts';

/** Words that are remembered, and the longest of them, in UTF-16 units. */
const REMEMBERED = 50_000;
const LONGEST_REMEMBERED = 256;

/** Tokens of words, remembered, as texts say the same words again and again. */
export class Words {
  private known = new Map<string, Tokens>();

  /** @param bytes words are read as their UTF-8 bytes */
  constructor(
    private readonly model: WordModel,
    private readonly bytes: boolean,
  ) {}

  /** adds the tokens of a word with the spans of the given text */
  add(word: Piece, tokens: Tokens): void {
    const { ids, from, to } = this.tokensOf(word.text);
    if (!word.spans) for (let i = 0; i < ids.length; i++) tokens.add(ids[i]!, word.at + from[i]!, word.at + to[i]!);
    else for (let i = 0; i < ids.length; i++) tokens.add(ids[i]!, startOf(word, from[i]!), endOf(word, to[i]!));
  }

  private tokensOf(text: string): Tokens {
    let tokens = this.known.get(text);
    if (tokens) return tokens;
    tokens = this.bytes ? this.ofBytes(text) : this.ofText(text);
    if (text.length <= LONGEST_REMEMBERED) {
      if (this.known.size >= REMEMBERED) this.known = new Map();
      // A copy: a slice of a text would hold the whole text in memory.
      this.known.set(Buffer.from(text, 'utf16le').toString('utf16le'), tokens.kept());
    }
    return tokens;
  }

  private ofText(text: string): Tokens {
    const tokens = new Tokens();
    this.model.tokenize(text, tokens);
    return tokens;
  }

  private ofBytes(text: string): Tokens {
    const inBytes = byteCharacters({ text, at: 0 });
    const { ids, from, to } = this.ofText(inBytes.text);
    const tokens = new Tokens();
    for (let i = 0; i < ids.length; i++) tokens.add(ids[i]!, startOf(inBytes, from[i]!), endOf(inBytes, to[i]!));
    return tokens;
  }
}
