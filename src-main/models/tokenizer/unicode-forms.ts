import { Rewriting, type Piece } from './piece.ts';

export type Form = 'NFC' | 'NFD' | 'NFKC' | 'NFKD';

/** A character with what can join it: marks, Hangul's vowels and finals, halfwidth voice marks. */
const GROUPS = /[^][\p{M}\u1160-\u11ff\uff9e\uff9f]*/gu;

/** One of Unicode's normal forms. What a group of characters becomes has the group's span, or each its own where they stay as many. */
export function unicodeForm(form: Form): (piece: Piece) => Piece {
  return (piece) => {
    const whole = piece.text.normalize(form);
    if (whole === piece.text) return piece;
    const rewriting = new Rewriting(piece);
    let together = '';
    for (const { 0: group, index } of piece.text.matchAll(GROUPS)) {
      const normal = group.normalize(form);
      together += normal;
      if (normal === group) rewriting.keep(index, index + group.length);
      else inGroup(rewriting, group, index, form);
    }
    if (together === whole) return rewriting.finish();
    // Groups that join each other: none is known, but the text counts.
    const all = new Rewriting(piece);
    all.put(whole, 0, piece.text.length);
    return all.finish();
  };
}

/** Characters in a group that change for themselves alone keep their own spans. */
function inGroup(rewriting: Rewriting, group: string, index: number, form: Form): void {
  const characters = [...group];
  const alone = characters.map((character) => character.normalize(form));
  if (alone.join('') !== group.normalize(form))
    return rewriting.put(group.normalize(form), index, index + group.length);
  let at = index;
  characters.forEach((character, i) => {
    rewriting.put(alone[i]!, at, at + character.length);
    at += character.length;
  });
}
