import type { TextEvaluation } from './task.ts';

/** Log-likelihood of what carries loss in an example, and how many tokens that is. */
export interface Likelihood {
  sum: number;
  tokens: number;
}

/** The mean loss over the label tokens of examples. */
export function meanOf(parts: Likelihood[]): TextEvaluation {
  const tokens = parts.reduce((all, part) => all + part.tokens, 0);
  const loss = -parts.reduce((all, part) => all + part.sum, 0) / tokens;
  return { loss, perplexity: Math.exp(loss), error: standardError(parts, loss), tokens, examples: parts.length };
}

/** Of a mean over tokens that come in examples: of a ratio of two sums (Cochran, Sampling Techniques, 2.46). */
export function standardError(parts: Likelihood[], loss: number): number | null {
  const { length } = parts;
  if (length < 2) return null;
  const tokens = parts.reduce((all, part) => all + part.tokens, 0);
  const squares = parts.reduce((all, part) => all + (-part.sum - loss * part.tokens) ** 2, 0);
  return Math.sqrt((squares * length) / (length - 1)) / tokens;
}
