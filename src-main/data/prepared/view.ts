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
  // Four numbers an example: its record, [from, to) in it, and what of its beginning stands before that.
  let at = new Int32Array(4 * records.count);
  let used = 0;
  const dropped: BrokenRow[] = [];
  const view = { kept: 0, truncated: 0, lossTokens: 0 };
  const isCutOff = (record: number) => long === 'truncate' && records.tokens(record) > sequenceLength;
  for (let record = 0; record < records.count; record++) {
    const runs = records.runs(record);
    const windows = windowsOf(records.tokens(record), runs, sequenceLength, long, records.lead(record));
    if (typeof windows === 'string') {
      dropped.push({ row: records.row(record), reason: windows });
      continue;
    }
    view.kept++;
    view.truncated += Number(isCutOff(record));
    for (const { from, to, lead } of windows) {
      if (used === at.length) at = grown(at);
      at.set([record, from, to, lead], used);
      used += 4;
      view.lossTokens += lossTokens(runs, from && from + 1, to);
    }
  }
  const examples = exampleSource(
    used / 4,
    (i) => at[4 * i + 2]! - at[4 * i + 1]! + at[4 * i + 3]!,
    (i): PreparedExample => {
      const [record, from, to, lead] = [at[4 * i]!, at[4 * i + 1]!, at[4 * i + 2]!, at[4 * i + 3]!];
      const { inputIds, labels } = part(records, record, from, to, lead);
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

/** The tokens [from, to) of a record, behind its first `lead` ones, which are only read. */
function part(records: Records, record: number, from: number, to: number, lead: number) {
  const { inputIds, labels } = records.read(record, from, to);
  // Learned in the part before, whose last token it is.
  if (from > 0) labels[0] = -100;
  if (lead === 0) return { inputIds, labels };
  const all = { inputIds: new Int32Array(lead + to - from), labels: new Int32Array(lead + to - from).fill(-100) };
  all.inputIds.set(records.read(record, 0, lead).inputIds);
  all.inputIds.set(inputIds, lead);
  all.labels.set(labels, lead);
  return all;
}

function grown(numbers: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * numbers.length);
  larger.set(numbers);
  return larger;
}
