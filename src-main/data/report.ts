import { concatenated, sizesOf, type ExampleSource } from './example-source.ts';
import { addRow, type RowFacts } from './prepared/row-facts.ts';
import type { PreparedView } from './prepared/view.ts';
import type { DataReport } from './types.ts';

/** What became of a dataset's rows. */
export function reportOf({ rows, dropped }: RowFacts, view: PreparedView): DataReport {
  const byReason = new Map(dropped.map(([reason, at]) => [reason, [...at]]));
  for (const { reason, row } of view.dropped) addRow(byReason, reason, row);
  // In the order that reading meets them.
  const ordered = [...byReason].sort(([, a], [, b]) => a[0]! - b[0]!);
  const { kept, truncated, lossTokens, examples } = view;
  return {
    ...{ examples: rows, kept, parts: examples.count, truncated },
    dropped: ordered.map(([reason, at]) => ({ reason, rows: at })),
    ...tokenFacts(examples, lossTokens),
  };
}

/** The report of several datasets together. */
export function mixReport(datasets: { report: DataReport; examples: ExampleSource<unknown> }[]): DataReport {
  const sum = (key: 'examples' | 'kept' | 'parts' | 'truncated' | 'lossTokens') =>
    datasets.reduce((all, { report }) => all + report[key], 0);
  return {
    ...{ examples: sum('examples'), kept: sum('kept'), parts: sum('parts'), truncated: sum('truncated') },
    dropped: datasets.flatMap(({ report }) => report.dropped),
    ...tokenFacts(concatenated(datasets.map(({ examples }) => examples)), sum('lossTokens')),
  };
}

function tokenFacts(
  examples: ExampleSource<unknown>,
  lossTokens: number,
): Pick<DataReport, 'tokenLength' | 'tokens' | 'lossTokens' | 'lossShare'> {
  const lengths = sizesOf(examples).sort();
  const at = (share: number) => lengths[Math.min(lengths.length - 1, Math.floor(share * lengths.length))] ?? 0;
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const mean = lengths.length ? tokens / lengths.length : 0;
  return {
    tokenLength: { p5: at(0.05), p50: at(0.5), p95: at(0.95), p99: at(0.99), max: lengths.at(-1) ?? 0, mean },
    ...{ tokens, lossTokens, lossShare: tokens ? lossTokens / tokens : 0 },
  };
}
