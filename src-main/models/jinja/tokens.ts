import { JinjaError } from './budget.ts';
import { tokenize } from './lexer.ts';
import type { Token, TokenKind } from './lexer.ts';

/** A template's tokens, read one after the other. */
export class Tokens {
  readonly #all: Token[];
  #at = 0;

  constructor(source: string) {
    this.#all = tokenize(source);
  }

  get current(): Token {
    return this.#all[this.#at]!;
  }

  get ahead(): Token {
    return this.#all[Math.min(this.#at + 1, this.#all.length - 1)]!;
  }

  /** How many tokens were read. */
  get place(): number {
    return this.#at;
  }

  /** The names among the tokens read since a place. */
  names(from: number): Set<string> {
    const read = this.#all.slice(from, this.#at);
    return new Set(read.filter(({ kind }) => kind === 'name').map(({ text }) => text));
  }

  next(): Token {
    const token = this.current;
    if (token.kind !== 'end') this.#at++;
    return token;
  }

  is(kind: TokenKind, ...texts: string[]): boolean {
    return this.current.kind === kind && (texts.length === 0 || texts.includes(this.current.text));
  }

  /** The token where it is such a one, passed by. */
  skip(kind: TokenKind, ...texts: string[]): Token | undefined {
    return this.is(kind, ...texts) ? this.next() : undefined;
  }

  /** @throws JinjaError where it is another */
  expect(kind: TokenKind, ...texts: string[]): Token {
    return this.skip(kind, ...texts) ?? this.fail(`expected ${texts.join(' or ') || kind}`);
  }

  fail(what: string): never {
    const { text, line, kind } = this.current;
    throw new JinjaError(
      `${what}, found ${kind === 'end' ? "the template's end" : `"${text.trim()}"`} in line ${line}`,
    );
  }
}
