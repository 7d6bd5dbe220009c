import { readRows } from '../../data/formats/rows.ts';
import { planColumns } from '../../data/columns.ts';
import { readDataset } from '../../data/dataset.ts';
import type { Dataset } from '../../data/dataset.ts';
import { reportOf } from '../../data/report.ts';
import type { DatasetPreview } from '../../../src-preload/contract/index.ts';
import type { ModelFile, Tokenizer } from '../../models/types.ts';
import type { PreviewRequest } from './types.ts';

const SHOWN_EXAMPLES = 8;
/** Tokens of one example that are sent to the page. */
const SHOWN_TOKENS = 1_500;
const HISTOGRAM_BARS = 32;

/** Reads and tokenizes the mix as training would, and shows what becomes of it. */
export async function previewMix(model: ModelFile, request: PreviewRequest): Promise<DatasetPreview> {
  const { tokenizer, chatTemplate: template, config } = model;
  const { sequenceLength, lossOn: loss, mix } = request;
  const options = { tokenizer, template, loss, sequenceLength, vocabularySize: config.vocabularySize };
  const datasets: Dataset[] = [];
  for (const [index, part] of mix.entries()) datasets.push(await readDataset(part, index, options));
  const examples = datasets.flatMap((dataset) => dataset.examples);
  const rows = datasets.reduce((sum, { report }) => sum + report.examples, 0);
  return {
    parts: await Promise.all(datasets.map(partReport)),
    report: { ...reportOf(examples, rows, new Map()), dropped: datasets.flatMap(({ report }) => report.dropped) },
    histogram: histogramOf(examples.map(({ inputIds }) => inputIds.length)),
    examples: examples.slice(0, SHOWN_EXAMPLES).map(({ row, inputIds, labels, truncated }) => ({
      row,
      tokens: inputIds.length,
      truncated,
      spans: spansOf(inputIds, labels, tokenizer),
    })),
  };
}

async function partReport({ source, format, report }: Dataset): Promise<DatasetPreview['parts'][number]> {
  const { rows } = await readRows(source.path);
  const columns = [...new Set(rows.slice(0, 100).flatMap(({ fields }) => Object.keys(fields)))];
  const plan = planColumns(columns, source.path, source.mapping, source.format);
  return { path: source.path, format, mapping: { ...plan.columns }, columns, rows: report.examples };
}

/** Neighbouring tokens with or without loss as one piece of text. */
function spansOf(ids: Int32Array, labels: Int32Array, tokenizer: Tokenizer | undefined) {
  const spans: { text: string; loss: boolean }[] = [];
  const end = Math.min(ids.length, SHOWN_TOKENS);
  for (let from = 0; from < end;) {
    const loss = labels[from]! >= 0;
    let to = from + 1;
    while (to < end && labels[to]! >= 0 === loss) to += 1;
    const piece = ids.subarray(from, to);
    spans.push({ text: tokenizer ? tokenizer.decode(piece) : [...piece].join(' '), loss });
    from = to;
  }
  return spans;
}

/** Equal bars from 0 to the longest. */
function histogramOf(lengths: number[]): DatasetPreview['histogram'] {
  const width = Math.max(
    1,
    Math.ceil((lengths.reduce((most, length) => Math.max(most, length), 0) + 1) / HISTOGRAM_BARS),
  );
  const bars = Array.from({ length: HISTOGRAM_BARS }, (_, index) => ({
    from: index * width,
    to: (index + 1) * width,
    examples: 0,
  }));
  for (const length of lengths) bars[Math.floor(length / width)]!.examples += 1;
  return bars.slice(0, bars.findLastIndex(({ examples }) => examples > 0) + 1);
}
