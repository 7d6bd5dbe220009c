import { z } from 'zod';
import { WORD_CHARACTER } from './cutters.ts';
import type { Normalizer } from './normalizers.ts';
import { endOf, part, startOf, type Piece, type Tokens } from './piece.ts';
import { Trie } from './trie.ts';

export const addedTokenSchema = z.looseObject({
  id: z.number().int().nonnegative(),
  content: z.string(),
  special: z.boolean().default(false),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  normalized: z.boolean().default(true),
});
export type AddedToken = z.infer<typeof addedTokenSchema>;

/** A part of a text: a token as it stands there, or text between such tokens. */
type Section = { piece: Piece; id?: number };

/** The tokens that are found in the text before anything else: longest first, in the text as given or as normalized. */
export class AddedTokens {
  private readonly byId = new Map<number, AddedToken>();
  private readonly asGiven?: Trie;
  private readonly asNormalized?: Trie;
  /** how a normalized token is written when it is read back */
  private readonly written = new Map<number, string>();

  constructor(
    tokens: AddedToken[],
    private readonly normalize: Normalizer | undefined,
  ) {
    for (const token of tokens) {
      if (token.content === '') continue;
      this.byId.set(token.id, token);
      const text = token.normalized && normalize ? normalize({ text: token.content, at: 0 }).text : token.content;
      if (text !== token.content) this.written.set(token.id, text);
      const trie = token.normalized ? (this.asNormalized ??= new Trie()) : (this.asGiven ??= new Trie());
      if (text !== '') trie.insert(text, token.id);
    }
  }

  get(id: number): AddedToken | undefined {
    return this.byId.get(id);
  }

  values(): Iterable<AddedToken> {
    return this.byId.values();
  }

  /** the token as decoders get it */
  text(id: number): string | undefined {
    return this.written.get(id) ?? this.byId.get(id)?.content;
  }

  /** Tokens of the text itself to `tokens`, normalized text between them to `between`, in order. */
  each(text: Piece, tokens: Tokens, between: (piece: Piece) => void): void {
    for (const section of this.sections(text, this.asGiven)) {
      if (section.id !== undefined) {
        add(section, tokens);
        continue;
      }
      const normal = this.normalize ? this.normalize(section.piece) : section.piece;
      for (const inner of this.sections(normal, this.asNormalized)) {
        if (inner.id !== undefined) add(inner, tokens);
        else if (inner.piece.text) between(inner.piece);
      }
    }
  }

  private sections(piece: Piece, trie: Trie | undefined): Section[] {
    if (!trie || piece.text === '') return [{ piece }];
    const { text } = piece;
    const sections: Section[] = [];
    let at = 0;
    for (let i = 0; i < text.length;) {
      let id = -1;
      let end = i;
      trie.each(text, i, (value, to) => {
        id = value;
        end = to;
      });
      if (id === -1) {
        i++;
        continue;
      }
      const token = this.byId.get(id)!;
      let [from, to] = [i, end];
      i = end;
      if (token.single_word && (wordBefore(text, from) || wordAt(text, to))) continue;
      if (token.lstrip) from = Math.max(spacesBefore(text, from), at);
      if (token.rstrip) to = spacesBehind(text, to);
      if (at < from) sections.push({ piece: part(piece, at, from) });
      sections.push({ piece: part(piece, from, to), id });
      at = to;
    }
    if (at < text.length) sections.push({ piece: part(piece, at, text.length) });
    return sections;
  }
}

function add({ piece, id }: Section, tokens: Tokens): void {
  tokens.add(id!, startOf(piece, 0), endOf(piece, piece.text.length));
}

const wordAt = (text: string, index: number) =>
  index < text.length && WORD_CHARACTER.test(String.fromCodePoint(text.codePointAt(index)!));

function wordBefore(text: string, index: number): boolean {
  if (index === 0) return false;
  const low = text.charCodeAt(index - 1);
  return wordAt(text, low >= 0xdc00 && low <= 0xdfff ? index - 2 : index - 1);
}

const isSpace = (text: string, index: number) => /\p{White_Space}/u.test(text[index]!);

function spacesBefore(text: string, index: number): number {
  while (index > 0 && isSpace(text, index - 1)) index--;
  return index;
}

function spacesBehind(text: string, index: number): number {
  while (index < text.length && isSpace(text, index)) index++;
  return index;
}
