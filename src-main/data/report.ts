import type { DataReport, TokenizedExample } from './types.ts';

/** What became of a dataset's rows. */
export function reportOf(examples: TokenizedExample[], rows: number, dropped: Map<string, number[]>): DataReport {
  const lengths = examples.map((example) => example.inputIds.length).sort((a, b) => a - b);
  const at = (share: number) => lengths[Math.min(lengths.length - 1, Math.floor(share * lengths.length))] ?? 0;
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const lossTokens = examples.reduce(
    (sum, { labels }) => sum + labels.reduce((n, label) => n + (label >= 0 ? 1 : 0), 0),
    0,
  );
  return {
    examples: rows,
    kept: examples.length,
    truncated: examples.filter((example) => example.truncated).length,
    dropped: [...dropped].map(([reason, at]) => ({ reason, rows: at })),
    tokenLength: {
      p5: at(0.05),
      p50: at(0.5),
      p95: at(0.95),
      p99: at(0.99),
      max: lengths.at(-1) ?? 0,
      mean: lengths.length ? tokens / lengths.length : 0,
    },
    tokens,
    lossTokens,
    lossShare: tokens ? lossTokens / tokens : 0,
  };
}
