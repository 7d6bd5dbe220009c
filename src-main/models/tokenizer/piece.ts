/** A stretch of text on its way to tokens. For each of its UTF-16 units it knows the span of the given text it came from. */
export interface Piece {
  text: string;
  /** without `spans`: unit i came from [at + i, at + i + 1) */
  at: number;
  /** unit i came from [spans[2i], spans[2i + 1]) */
  spans?: ArrayLike<number>;
}

/** The part [from, to) of a piece, in UTF-16 units. */
export function part(piece: Piece, from: number, to: number): Piece {
  if (from === 0 && to === piece.text.length) return piece;
  const text = piece.text.slice(from, to);
  if (!piece.spans) return { text, at: piece.at + from };
  return { text, at: 0, spans: Array.prototype.slice.call(piece.spans, 2 * from, 2 * to) as number[] };
}

/** Where the units [from, to) of a piece begin in the given text. */
export const startOf = ({ at, spans }: Piece, from: number) => (spans ? spans[2 * from]! : at + from);

/** Where the units that end before `to` end in the given text. */
export const endOf = ({ at, spans }: Piece, to: number) => (spans ? spans[2 * to - 1]! : at + to);

/** Writes a piece anew, from left to right; what stands for other text takes that text's span. */
export class Rewriting {
  private text = '';
  private readonly spans: number[] = [];

  constructor(private readonly source: Piece) {}

  /** the units [from, to) as they are */
  keep(from: number, to: number): void {
    const { source } = this;
    this.text += source.text.slice(from, to);
    for (let i = from; i < to; i++) this.spans.push(startOf(source, i), endOf(source, i + 1));
  }

  /** `text` in place of the units [from, to), which are at least one */
  put(text: string, from: number, to: number): void {
    const [start, end] = [startOf(this.source, from), endOf(this.source, to)];
    this.text += text;
    for (let i = 0; i < text.length; i++) this.spans.push(start, end);
  }

  /** `text` where there was none; its span is empty */
  insert(text: string, at: number): void {
    const place = at > 0 ? endOf(this.source, at) : startOf(this.source, 0);
    this.text += text;
    for (let i = 0; i < text.length; i++) this.spans.push(place, place);
  }

  finish(): Piece {
    return { text: this.text, at: 0, spans: this.spans };
  }
}

/** Length in UTF-16 units of the character at `index`. */
export const characterLength = (text: string, index: number) => (text.codePointAt(index)! > 0xffff ? 2 : 1);

/** `text` before a piece that is not empty; it takes the first character's span, as the package tokenizers has it. */
export function prepend(piece: Piece, text: string): Piece {
  const rewriting = new Rewriting(piece);
  rewriting.put(text, 0, characterLength(piece.text, 0));
  rewriting.keep(0, piece.text.length);
  return rewriting.finish();
}

/** Every character through `change`; undefined keeps it. The piece itself comes back when nothing changed. */
export function mapCharacters(piece: Piece, change: (character: string) => string | undefined): Piece {
  let rewriting: Rewriting | undefined;
  for (let i = 0; i < piece.text.length;) {
    const length = characterLength(piece.text, i);
    const character = piece.text.slice(i, i + length);
    const changed = change(character);
    if (changed !== undefined && changed !== character && !rewriting) {
      rewriting = new Rewriting(piece);
      rewriting.keep(0, i);
    }
    if (rewriting) {
      if (changed === undefined) rewriting.keep(i, i + length);
      else rewriting.put(changed, i, i + length);
    }
    i += length;
  }
  return rewriting ? rewriting.finish() : piece;
}

/** Tokens with the spans they came from. */
export class Tokens {
  constructor(
    readonly ids: number[] = [],
    readonly from: number[] = [],
    readonly to: number[] = [],
  ) {}

  add(id: number, from: number, to: number): void {
    this.ids.push(id);
    this.from.push(from);
    this.to.push(to);
  }

  /** The same, to be kept: lists that were added to have room for sixteen more each. */
  kept(): Tokens {
    return new Tokens(this.ids.slice(), this.from.slice(), this.to.slice());
  }
}
