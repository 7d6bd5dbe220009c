/**
 * SentencePiece joins the neighbours whose joined piece scores best; as BPE merges that is every way to cut a piece into two
 * pieces, ordered by the whole piece's score (the rule of transformers' SentencePiece converter, generate_merges).
 * @returns the merges, and the rank of each: pieces of one score have one rank, as of them the leftmost is joined first
 */
export function scoredMerges(tokens: string[], scores: number[]): { merges: [string, string][]; ranks: number[] } {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const merges: { left: string; right: string; score: number; l: number; r: number }[] = [];
  tokens.forEach((piece, id) => {
    if (piece.length < 2) return;
    for (let cut = 1; cut < piece.length; cut++) {
      const l = ids.get(piece.slice(0, cut));
      const r = l === undefined ? undefined : ids.get(piece.slice(cut));
      if (l !== undefined && r !== undefined)
        merges.push({ left: tokens[l]!, right: tokens[r]!, score: scores[id] ?? 0, l, r });
    }
  });
  merges.sort((a, b) => b.score - a.score || a.l - b.l || a.r - b.r);
  let rank = -1;
  const ranks = merges.map(({ score }, i) => (i > 0 && merges[i - 1]!.score === score ? rank : ++rank));
  return { merges: merges.map(({ left, right }) => [left, right]), ranks };
}
