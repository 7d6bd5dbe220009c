/** The most tokens a batch of held-out examples has: what makes large products, or a lone longer example. */
export const evaluationTokens = (longest: number) => Math.max(1024, longest);

/** Tokens of a dataset's examples. */
export interface LengthFacts {
  meanTokens: number;
  /** standard deviation */
  deviationTokens: number;
  p95Tokens: number;
  maxTokens: number;
}

/** Facts of the examples' lengths, of which there is one at least. */
export function lengthFacts(lengths: ArrayLike<number>): LengthFacts {
  const sorted = Float64Array.from(lengths).sort();
  const meanTokens = sorted.reduce((sum, length) => sum + length, 0) / sorted.length;
  const variance = sorted.reduce((sum, length) => sum + (length - meanTokens) ** 2, 0) / sorted.length;
  const p95Tokens = sorted[Math.floor(0.95 * (sorted.length - 1))]!;
  return { meanTokens, deviationTokens: Math.sqrt(variance), p95Tokens, maxTokens: sorted.at(-1)! };
}

/**
 * The most tokens that a micro-batch of so many examples is likely to have: three standard deviations above the mean, and no more than
 * its examples can have. Where examples don't lie end to end, so many whole rows.
 */
export function mostTokens(lengths: LengthFacts, endToEnd: boolean, sequenceLength: number, batch: number): number {
  if (!endToEnd) return batch * sequenceLength;
  const likely = batch * lengths.meanTokens + 3 * Math.sqrt(batch) * lengths.deviationTokens;
  return Math.ceil(Math.min(likely, batch * Math.min(lengths.maxTokens, sequenceLength)));
}
