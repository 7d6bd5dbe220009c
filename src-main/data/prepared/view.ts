import { exampleSource, type ExampleSource } from '../example-source.ts';
import type { BrokenRow } from '../formats/rows.ts';
import type { DatasetOptions, PreparedExample } from '../prepare.ts';
import { lossTokens, windowsOf } from '../windows.ts';
import type { Records } from './records.ts';

/** Records as the examples that a model of some length learns from. */
export interface PreparedView {
  examples: ExampleSource<PreparedExample>;
  /** rows that give no example at this length */
  dropped: BrokenRow[];
  /** records that give one example at least */
  kept: number;
  truncated: number;
  lossTokens: number;
}

/** `source` is the dataset's place in the mix. */
export function viewOf(
  records: Records,
  source: number,
  { sequenceLength, long = 'truncate' }: Pick<DatasetOptions, 'sequenceLength' | 'long'>,
): PreparedView {
  // Three numbers an example: its record, and [from, to) in it.
  let at = new Int32Array(3 * records.count);
  let used = 0;
  const dropped: BrokenRow[] = [];
  const view = { kept: 0, truncated: 0, lossTokens: 0 };
  const isCutOff = (record: number) => long === 'truncate' && records.tokens(record) > sequenceLength;
  for (let record = 0; record < records.count; record++) {
    const runs = records.runs(record);
    const windows = windowsOf(records.tokens(record), runs, sequenceLength, long);
    if (typeof windows === 'string') {
      dropped.push({ row: records.row(record), reason: windows });
      continue;
    }
    view.kept++;
    view.truncated += Number(isCutOff(record));
    for (const { from, to } of windows) {
      if (used === at.length) at = grown(at);
      at.set([record, from, to], used);
      used += 3;
      view.lossTokens += lossTokens(runs, from && from + 1, to);
    }
  }
  const examples = exampleSource(
    used / 3,
    (i) => at[3 * i + 2]! - at[3 * i + 1]!,
    (i): PreparedExample => {
      const [record, from, to] = [at[3 * i]!, at[3 * i + 1]!, at[3 * i + 2]!];
      const { inputIds, labels } = records.read(record, from, to);
      // Learned in the part before, whose last token it is.
      if (from > 0) labels[0] = -100;
      return {
        ...{ row: records.row(record), source, inputIds, labels, truncated: isCutOff(record) },
        get example() {
          return records.example(record);
        },
      };
    },
  );
  return { examples, dropped, ...view };
}

function grown(numbers: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * numbers.length);
  larger.set(numbers);
  return larger;
}
