import crypto from 'node:crypto';

/**
 * SentencePiece joins the neighbours whose joined piece scores best; as BPE merges that is every way to cut a piece into two
 * pieces, ordered by the whole piece's score (the rule of transformers' SentencePiece converter, generate_merges).
 * @returns the merges, and the rank of each: pieces of one score have one rank, as of them the leftmost is joined first
 */
export function scoredMerges(tokens: string[], scores: number[]): { merges: [string, string][]; ranks: number[] } {
  const pieces = new Pieces(tokens);
  const merges: [string, string][] = [];
  const ranks: number[] = [];
  let rank = 0;
  for (const ids of byScore(tokens.map((_, id) => scores[id] ?? 0))) {
    const cuts: Cut[] = [];
    for (const id of ids) pieces.cuts(tokens[id]!, cuts);
    if (cuts.length > 1) cuts.sort((a, b) => a.l - b.l || a.r - b.r);
    for (const { l, r } of cuts) {
      merges.push([tokens[l]!, tokens[r]!]);
      ranks.push(rank);
    }
    if (cuts.length > 0) rank++;
  }
  return { merges, ranks };
}

/** Ids by their score, the best first; those of one score together. Numbers alone are sorted: quicker than by comparing ids. */
function byScore(scores: number[]): number[][] {
  const groups = new Map<number, number[]>();
  for (const score of Float64Array.from(scores).sort().reverse()) if (!groups.has(score)) groups.set(score, []);
  scores.forEach((score, id) => groups.get(score)!.push(id));
  return [...groups.values()];
}

interface Cut {
  l: number;
  r: number;
}

/** Hashes are polynomials in a base that no file can know, so that none can be made of tokens with one hash. */
const PRIME = 2 ** 31 - 1;
const BASE = crypto.randomInt(2 ** 20, 2 ** 21);

/** Finds the two pieces of a cut by hashes that go on from cut to cut, without making a text of either. */
class Pieces {
  readonly #slots: Int32Array;
  readonly #mask: number;

  constructor(readonly tokens: string[]) {
    const slots = 2 ** Math.ceil(Math.log2(tokens.length * 2 + 1));
    this.#mask = slots - 1;
    this.#slots = new Int32Array(slots).fill(-1);
    // Of tokens with one text the last counts.
    tokens.forEach((token, id) => {
      let hash = 0;
      for (let i = 0; i < token.length; i++) hash = (hash * BASE + token.charCodeAt(i)) % PRIME;
      this.#slots[this.#slot(hash, token, 0, token.length)] = id;
    });
  }

  /** Where a part of a text is, or would be. */
  #slot(hash: number, text: string, from: number, to: number): number {
    let slot = (hash ^ (hash >>> 15)) & this.#mask;
    for (let id = this.#slots[slot]!; id >= 0; id = this.#slots[slot]!) {
      if (isPart(this.tokens[id]!, text, from, to)) break;
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }

  /** Adds the ways to cut a piece into two pieces, as their ids. */
  cuts(piece: string, into: Cut[]): void {
    const { length } = piece;
    const ends = new Int32Array(length + 1);
    let power = 1;
    for (let i = length - 1; i >= 0; i--) {
      ends[i] = (ends[i + 1]! + piece.charCodeAt(i) * power) % PRIME;
      power = (power * BASE) % PRIME;
    }
    let begin = 0;
    for (let cut = 1; cut < length; cut++) {
      begin = (begin * BASE + piece.charCodeAt(cut - 1)) % PRIME;
      const l = this.#slots[this.#slot(begin, piece, 0, cut)]!;
      const r = l < 0 ? -1 : this.#slots[this.#slot(ends[cut]!, piece, cut, length)]!;
      if (r >= 0) into.push({ l, r });
    }
  }
}

/** Whether a token is text[from, to). */
function isPart(token: string, text: string, from: number, to: number): boolean {
  if (token.length !== to - from) return false;
  for (let i = 0; i < token.length; i++) if (token.charCodeAt(i) !== text.charCodeAt(from + i)) return false;
  return true;
}
