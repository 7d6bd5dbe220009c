import { basename } from 'node:path';
import { openDataset, openSample, type DatasetOptions, type OpenDataset } from '../../data/dataset.ts';
import { concatenated, sizesOf } from '../../data/example-source.ts';
import { heldOutSplitOf } from '../../data/held-out.ts';
import { dropsMany } from '../../data/dropped.ts';
import { mixReport } from '../../data/report.ts';
import type { DatasetPreview, MixPart } from '../../../src-preload/contract/index.ts';
import type { ModelFile, Tokenizer } from '../../models/types.ts';
import type { PreviewRequest } from './types.ts';

const SHOWN_EXAMPLES = 8;
/** Tokens of one example that are sent to the page. */
const SHOWN_TOKENS = 1_500;
/** Rows left out of one reason that are sent to the page. */
const SHOWN_ROWS = 1_000;
const HISTOGRAM_BARS = 32;
/** Rows of a file that a first look is at: read and tokenized in about a second. */
const FIRST_ROWS = 200;

type Previewed = OpenDataset & { whole?: boolean; heldOut?: DatasetPreview['parts'][number]['heldOut'] };

/** Reads and tokenizes the mix as training would, or the first rows of its files, and shows what becomes of it. */
export async function previewMix(model: ModelFile, request: PreviewRequest): Promise<DatasetPreview> {
  const { tokenizer, chatTemplate: template, config } = model;
  const { sequenceLength, lossOn: loss, mix, sample, evalSplit } = request;
  const options = { tokenizer, template, loss, sequenceLength, vocabularySize: config.vocabularySize };
  const datasets: Previewed[] = [];
  try {
    for (const [index, part] of mix.entries()) {
      const opened: Previewed = sample
        ? await openSample(part, index, options, FIRST_ROWS)
        : await openDataset(part, index, options);
      datasets.push(opened);
      const split = heldOutSplitOf(part, opened, evalSplit);
      if (split === undefined) continue;
      const isCounted = opened.whole !== false;
      opened.heldOut = {
        split,
        examples: isCounted ? await examplesOf({ ...part, split }, index, options) : undefined,
      };
    }
    return previewOf(datasets, tokenizer);
  } finally {
    for (const { close } of datasets) close();
  }
}

async function examplesOf(part: MixPart & { split: string }, index: number, options: DatasetOptions): Promise<number> {
  const { examples, close } = await openDataset(part, index, options);
  close();
  return examples.count;
}

function previewOf(datasets: Previewed[], tokenizer: Tokenizer | undefined): DatasetPreview {
  const examples = concatenated(datasets.map((dataset) => dataset.examples));
  const report = mixReport(datasets);
  const shown = Array.from({ length: Math.min(SHOWN_EXAMPLES, examples.count) }, (_, i) => examples.read(i));
  return {
    whole: datasets.every(({ whole }) => whole !== false),
    parts: datasets.map(({ source, format, mapping, columns, notes, report: of, ...place }) => ({
      ...{ path: source.path, format, mapping, columns, notes: named(notes, source.path) },
      ...{ rows: of.examples, dropped: of.examples - of.kept, dropsMany: dropsMany(of) },
      ...{ split: place.split, splits: place.splits, config: place.config, configs: place.configs },
      heldOut: place.heldOut,
    })),
    report: {
      ...report,
      dropped: report.dropped.map(({ reason, rows }) => ({
        reason,
        count: rows.length,
        rows: rows.slice(0, SHOWN_ROWS),
      })),
    },
    histogram: histogramOf(sizesOf(examples)),
    examples: shown.map(({ row, inputIds, labels, truncated }) => ({
      ...{ row, truncated, tokens: inputIds.length, spans: spansOf(inputIds, labels, tokenizer) },
    })),
  };
}

/** With a file's name where its place stands: an upload's says nothing to a person. */
export const named = (notes: readonly string[], path: string): string[] =>
  notes.map((note) => note.replaceAll(path, basename(path)));

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
function histogramOf(lengths: Int32Array): DatasetPreview['histogram'] {
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
