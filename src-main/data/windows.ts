/** What becomes of an example longer than the model is to read: cut off at its end, left out, or cut into several. */
export type LongExamples = 'truncate' | 'drop' | 'cut';

/** The part [from, to) of an example's tokens that is one example to learn from, behind the first `lead` tokens where it is cut off from them. */
export interface Window {
  from: number;
  to: number;
  lead: number;
}

/**
 * The parts of an example of so many tokens that are learned from. A cut example breaks behind an answer where it can, so that the next
 * part begins with a message of its own; inside a longer run its parts overlap by one token: a part's first token is predicted by
 * nothing, and so each token is learned once.
 * @param lead tokens of a system message at its beginning: every part begins with them, unless they take more than half of it
 * @param lossRuns runs [from, to) of tokens that carry loss, in order, one after the other
 * @returns a text when nothing is left, saying why
 */
export function windowsOf(
  tokens: number,
  lossRuns: ArrayLike<number>,
  sequenceLength: number,
  long: LongExamples,
  lead = 0,
): Window[] | string {
  const isLong = tokens > sequenceLength;
  if (isLong && long === 'drop') return `longer than ${sequenceLength} tokens`;
  const all =
    isLong && long === 'cut'
      ? cutWindows(tokens, lossRuns, sequenceLength, 2 * lead > sequenceLength ? 0 : lead)
      : [{ from: 0, to: Math.min(tokens, sequenceLength), lead: 0 }];
  const kept = all.filter(({ from, to }) => lossTokens(lossRuns, from + 1, to) > 0);
  if (kept.length > 0) return kept;
  return isLong && long === 'truncate' ? `no token with loss within ${sequenceLength} tokens` : 'no token carries loss';
}

function cutWindows(tokens: number, lossRuns: ArrayLike<number>, sequenceLength: number, repeated: number): Window[] {
  const windows: Window[] = [];
  let run = 0;
  for (let from = 0; from < tokens - 1;) {
    const lead = from > 0 ? repeated : 0;
    const most = Math.min(tokens, from + sequenceLength - lead);
    let answered: number | undefined;
    for (; 2 * run < lossRuns.length && lossRuns[2 * run + 1]! <= most; run++)
      if (lossRuns[2 * run + 1]! > from + 1) answered = lossRuns[2 * run + 1]!;
    if (most === tokens || answered === undefined) {
      windows.push({ from, to: most, lead });
      from = most === tokens ? tokens : most - 1;
    } else {
      windows.push({ from, to: answered, lead });
      from = answered;
    }
  }
  return windows;
}

/** Tokens with loss in [from, to). */
export function lossTokens(lossRuns: ArrayLike<number>, from: number, to: number): number {
  let sum = 0;
  for (let i = 0; i < lossRuns.length; i += 2)
    sum += Math.max(0, Math.min(to, lossRuns[i + 1]!) - Math.max(from, lossRuns[i]!));
  return sum;
}
