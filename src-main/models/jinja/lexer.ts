import { JinjaError } from './budget.ts';
import { SPACE, strip } from './string-methods.ts';

export type TokenKind =
  | 'data'
  | 'block'
  | 'blockEnd'
  | 'variable'
  | 'variableEnd'
  | 'name'
  | 'string'
  | 'integer'
  | 'float'
  | 'operator'
  | 'end';

export interface Token {
  kind: TokenKind;
  text: string;
  line: number;
}

const TAG = /\{[%{#]([-+]?)/g;
const RAW = new RegExp(`\\{%[-+]?[${SPACE}]*raw[${SPACE}]*(?:-%\\}[${SPACE}]*|%\\})`, 'y');
const RAW_END = new RegExp(`\\{%([-+]?)[${SPACE}]*endraw[${SPACE}]*(?:\\+%\\}|-%\\}[${SPACE}]*|%\\}\\n?)`, 'g');
const COMMENT_END = new RegExp(`\\+#\\}|-#\\}[${SPACE}]*|#\\}\\n?`, 'g');
const BLOCK_END = new RegExp(`\\+%\\}|-%\\}[${SPACE}]*|%\\}\\n?`, 'y');
const VARIABLE_END = new RegExp(`-\\}\\}[${SPACE}]*|\\}\\}`, 'y');
const WHITE = new RegExp(`[${SPACE}]+`, 'y');
const FLOAT = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{L}\p{N}\p{M}_]+/uy;
const STRING = /'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*"/sy;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}<>=.:|,;]/y;

const CLOSING: Record<string, string> = { ')': '(', ']': '[', '}': '{' };
const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v', '\n': '' };

/** A string literal's text: Python's escapes; a backslash before any other character stays. */
function unquoted(literal: string): string {
  return literal
    .slice(1, -1)
    .replace(
      /\\(?:x([\da-f]{2})|u([\da-f]{4})|U([\da-f]{8})|([0-7]{1,3})|([^]))/gi,
      (whole, x, u, long, octal, other) => {
        const hex = (x ?? u ?? long) as string | undefined;
        // The expression knows no case; \X41 and \u12 are no escapes.
        if (hex !== undefined && (x ? whole[1] === 'x' : u ? whole[1] === 'u' : whole[1] === 'U')) {
          const code = parseInt(hex, 16);
          if (code > 0x10ffff)
            throw new JinjaError(`the text ${literal.slice(0, 40)} holds no character of the code ${hex}`);
          return String.fromCodePoint(code);
        }
        if (octal !== undefined) return String.fromCharCode(parseInt(octal as string, 8));
        const letter = (other as string | undefined) ?? '';
        if (['x', 'u', 'U', 'N'].includes(letter))
          throw new JinjaError(`the text ${literal.slice(0, 40)} has an escape that can't be read`);
        if ('\\\'"'.includes(letter) && letter !== '') return letter;
        return ESCAPES[letter] ?? (whole as string);
      },
    );
}

/** Cuts a template's source into tokens, white space treated as transformers has it: trim_blocks and lstrip_blocks. */
export function tokenize(given: string): Token[] {
  // Jinja counts in lines of \n, and drops the last one's end.
  const lexer = new Lexer(given.replace(/\r\n?/g, '\n').replace(/\n$/, ''));
  lexer.read();
  return lexer.tokens;
}

class Lexer {
  readonly tokens: Token[] = [];
  #place = 0;
  #line = 1;
  #startsLine = true;

  constructor(readonly source: string) {}

  read(): void {
    const { source } = this;
    while (this.#place < source.length) {
      TAG.lastIndex = this.#place;
      const tag = TAG.exec(source);
      if (!tag) {
        this.#push('data', source.slice(this.#place));
        break;
      }
      const kind = tag[0][1] === '%' ? 'block' : tag[0][1] === '{' ? 'variable' : 'comment';
      const text = source.slice(this.#place, tag.index);
      this.#push('data', this.#before(text, tag[1]!, kind === 'variable'));
      this.#pass(text);
      const raw = kind === 'block' ? this.#at(RAW) : undefined;
      this.#pass(raw ?? tag[0]);
      if (raw !== undefined) this.#raw();
      else if (kind === 'comment') this.#upTo(COMMENT_END, 'a comment');
      else {
        this.#push(kind, tag[0]);
        this.#inside(kind);
      }
    }
    this.#push('end', '');
  }

  #fail(what: string): never {
    throw new JinjaError(`${what} in line ${this.#line}`);
  }

  #push(kind: TokenKind, text: string): void {
    if (kind !== 'data' || text !== '') this.tokens.push({ kind, text, line: this.#line });
  }

  #pass(text: string): void {
    this.#place += text.length;
    for (const character of text) if (character === '\n') this.#line++;
    if (text !== '') this.#startsLine = text.endsWith('\n');
  }

  /** What stands right here, if it is such. */
  #at(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#place;
    return pattern.exec(this.source)?.[0];
  }

  /** Passes by all up to an end, and gives what was before it. */
  #upTo(end: RegExp, what: string): string {
    end.lastIndex = this.#place;
    const found = end.exec(this.source) ?? this.#fail(`${what} is never closed`);
    const body = this.source.slice(this.#place, found.index);
    const before = found[1] === undefined ? body : this.#before(body, found[1], false);
    this.#pass(body + found[0]);
    return before;
  }

  #raw(): void {
    this.#push('data', this.#upTo(RAW_END, 'raw'));
  }

  /** Text before a tag, without the white space that the tag takes. */
  #before(text: string, sign: string, isVariable: boolean): string {
    if (sign === '-') return strip(text, 'right');
    if (sign === '+' || isVariable) return text;
    const start = text.lastIndexOf('\n') + 1;
    return (start > 0 || this.#startsLine) && strip(text.slice(start), 'left') === '' ? text.slice(0, start) : text;
  }

  /** Tokens of a tag's inside, up to its end. */
  #inside(kind: 'block' | 'variable'): void {
    const end = kind === 'block' ? BLOCK_END : VARIABLE_END;
    const open: string[] = [];
    for (;;) {
      const closing = open.length === 0 ? this.#at(end) : undefined;
      if (closing !== undefined) {
        this.#push(kind === 'block' ? 'blockEnd' : 'variableEnd', closing);
        return this.#pass(closing);
      }
      const token = nextToken((pattern) => this.#at(pattern));
      if (!token)
        this.#fail(
          this.#place < this.source.length ? `unexpected "${this.source[this.#place]}"` : 'a tag is never closed',
        );
      const { kind: found, text } = token;
      if (found === 'operator' && '([{'.includes(text)) open.push(text);
      if (found === 'operator' && text in CLOSING && open.pop() !== CLOSING[text]) this.#fail(`unexpected "${text}"`);
      if (found) this.#push(found, found === 'string' ? unquoted(text) : text);
      this.#pass(text);
    }
  }
}

function nextToken(sticky: (pattern: RegExp) => string | undefined): { kind?: TokenKind; text: string } | undefined {
  const kinds: [TokenKind | undefined, RegExp][] = [
    [undefined, WHITE],
    ['float', FLOAT],
    ['integer', INTEGER],
    ['name', NAME],
    ['string', STRING],
    ['operator', OPERATOR],
  ];
  for (const [kind, pattern] of kinds) {
    const text = sticky(pattern);
    if (text) return { kind, text };
  }
  return undefined;
}
