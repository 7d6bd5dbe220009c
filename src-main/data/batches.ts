import type { TokenBatch } from '../models/types.ts';
import type { TokenizedExample } from './types.ts';

/** Padded rows are rounded up to a multiple of this, so that few shapes occur. */
const LENGTH_ROUNDING = 32;

type Tokens = Pick<TokenizedExample, 'inputIds' | 'labels'>;

/** One row an example, padded to the longest. */
export function padBatch(examples: Tokens[]): TokenBatch {
  return layOut(
    examples.map((example) => [example]),
    examples.reduce((most, { inputIds }) => Math.max(most, inputIds.length), 1),
  );
}

/**
 * Several examples a row of up to `sequenceLength` tokens, each attending to itself alone: the longest first, each into the
 * first row with room (first-fit decreasing).
 */
export function packBatch(examples: Tokens[], sequenceLength: number): TokenBatch {
  const rows: Tokens[][] = [];
  const used: number[] = [];
  for (const example of [...examples].sort((a, b) => b.inputIds.length - a.inputIds.length)) {
    const length = example.inputIds.length;
    let row = used.findIndex((tokens) => tokens + length <= sequenceLength);
    if (row < 0) row = rows.push([]) - 1;
    rows[row]!.push(example);
    used[row] = (used[row] ?? 0) + length;
  }
  return layOut(rows, Math.max(...used));
}

function layOut(rows: Tokens[][], longest: number): TokenBatch {
  const length = Math.ceil(longest / LENGTH_ROUNDING) * LENGTH_ROUNDING;
  const size = rows.length * length;
  const batch: TokenBatch = {
    rows: rows.length,
    length,
    inputIds: new Int32Array(size),
    labels: new Int32Array(size).fill(-100),
    positions: new Int32Array(size),
    segments: new Int32Array(size).fill(-1),
  };
  rows.forEach((examples, row) => {
    let place = row * length;
    examples.forEach(({ inputIds, labels }, segment) => {
      batch.inputIds.set(inputIds, place);
      batch.labels.set(labels, place);
      batch.segments.fill(segment, place, place + inputIds.length);
      for (let i = 0; i < inputIds.length; i++) batch.positions[place + i] = i;
      place += inputIds.length;
    });
  });
  return batch;
}

/** Label tokens that have a token before them to be predicted from: what a loss is the mean over. */
export function labelCount(examples: Tokens[]): number {
  return examples.reduce(
    (sum, { labels }) => sum + labels.reduce((n, label, i) => n + (i > 0 && label >= 0 ? 1 : 0), 0),
    0,
  );
}
