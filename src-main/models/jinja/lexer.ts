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
  const source = given.replace(/\r\n?/g, '\n').replace(/\n$/, '');
  const tokens: Token[] = [];
  let place = 0;
  let line = 1;
  let startsLine = true;
  const fail = (what: string): never => {
    throw new JinjaError(`${what} in line ${line}`);
  };
  const pass = (text: string) => {
    for (const character of text) if (character === '\n') line++;
    startsLine = text.endsWith('\n');
  };
  const sticky = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = place;
    return pattern.exec(source)?.[0];
  };
  const push = (kind: TokenKind, text: string) => {
    if (kind !== 'data' || text !== '') tokens.push({ kind, text, line });
  };
  /** Text before a tag, without the white space that the tag takes. */
  const before = (text: string, sign: string, isVariable: boolean) => {
    if (sign === '-') return strip(text, 'right');
    if (sign === '+' || isVariable) return text;
    const start = text.lastIndexOf('\n') + 1;
    return (start > 0 || startsLine) && strip(text.slice(start), 'left') === '' ? text.slice(0, start) : text;
  };

  /** Tokens of a tag's inside, up to its end. */
  const inside = (kind: 'block' | 'variable') => {
    const end = kind === 'block' ? BLOCK_END : VARIABLE_END;
    const open: string[] = [];
    for (;;) {
      const closing = open.length === 0 ? sticky(end) : undefined;
      if (closing !== undefined) {
        push(kind === 'block' ? 'blockEnd' : 'variableEnd', closing);
        place += closing.length;
        return pass(closing);
      }
      const token = nextToken(sticky);
      if (!token) fail(place < source.length ? `unexpected "${source[place]}"` : 'a tag is never closed');
      const { kind: found, text } = token!;
      if (found === 'operator' && '([{'.includes(text)) open.push(text);
      if (found === 'operator' && text in CLOSING && open.pop() !== CLOSING[text]) fail(`unexpected "${text}"`);
      if (found) push(found, found === 'string' ? unquoted(text) : text);
      place += text.length;
      pass(text);
    }
  };

  while (place < source.length) {
    TAG.lastIndex = place;
    const tag = TAG.exec(source);
    if (!tag) {
      push('data', source.slice(place));
      break;
    }
    const text = source.slice(place, tag.index);
    push('data', before(text, tag[1]!, tag[0][1] === '{'));
    place = tag.index;
    pass(text);
    const raw = tag[0][1] === '%' ? sticky(RAW) : undefined;
    if (raw !== undefined || tag[0][1] === '#') {
      const opening = raw ?? tag[0];
      place += opening.length;
      pass(opening);
      const pattern = raw === undefined ? COMMENT_END : RAW_END;
      pattern.lastIndex = place;
      const end = pattern.exec(source) ?? fail(raw === undefined ? 'a comment is never closed' : 'raw is never closed');
      const body = source.slice(place, end.index);
      if (raw !== undefined) push('data', before(body, end[1]!, false));
      place = end.index + end[0].length;
      pass(body + end[0]);
      continue;
    }
    const kind = tag[0][1] === '%' ? 'block' : 'variable';
    push(kind, tag[0]);
    place += tag[0].length;
    pass(tag[0]);
    inside(kind);
  }
  tokens.push({ kind: 'end', text: '', line });
  return tokens;
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
