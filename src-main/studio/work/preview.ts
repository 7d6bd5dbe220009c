import { basename } from 'node:path';
import type { OpenDataset, PreparedExample } from '../../data/dataset.ts';
import { concatenated, sizesOf } from '../../data/example-source.ts';
import { heldOutSplitOf } from '../../data/held-out.ts';
import { dropsMany } from '../../data/dropped.ts';
import { mixReport } from '../../data/report.ts';
import { readingOptions } from '../../data/reading-options.ts';
import type { DataReport } from '../../data/types.ts';
import { isBroken, openRows } from '../../data/formats/rows.ts';
import { picturesIn } from '../../data/picture-rows.ts';
import type { DatasetPreview, MixPart } from '../../../src-preload/contract/index.ts';
import type { ModelFile } from '../../models/types.ts';
import { taskOf } from '../../tasks/registry.ts';
import { thumbnail } from './thumbnail.ts';
import type { PreviewRequest } from './types.ts';

const SHOWN_EXAMPLES = 8;
/** Tokens of one example that are sent to the page. */
const SHOWN_TOKENS = 1_500;
/** Rows left out of one reason that are sent to the page. */
const SHOWN_ROWS = 1_000;
const HISTOGRAM_BARS = 32;
const SHOWN_REASONS = 50;
/** Pictures of one example. */
const SHOWN_PICTURES = 6;

type PicturesShown = NonNullable<DatasetPreview['examples'][number]['pictures']>;
type Previewed = OpenDataset & { whole?: boolean; heldOut?: DatasetPreview['parts'][number]['heldOut'] };

/** Reads and tokenizes the mix as training would, or the first rows of its files, and shows what becomes of it. */
export async function previewMix(model: ModelFile, request: PreviewRequest): Promise<DatasetPreview> {
  const { sequenceLength: wanted, lossOn: loss, mix, sample, evalSplit } = request;
  const sequenceLength = Math.min(wanted, model.config.contextLength);
  const options = readingOptions(model, { sequenceLength, loss });
  const task = taskOf(model);
  const datasets: Previewed[] = [];
  try {
    for (const [index, part] of mix.entries()) {
      const opened = (await (sample ? task.sample : task.dataset)(part, index, model, options)) as Previewed;
      datasets.push(opened);
      if (!model.sees && (await showsPictures(part)))
        opened.notes = [...opened.notes, `Its rows name pictures, which ${model.name} can't see: it learns their texts alone. A base model that sees pictures learns from both.`]; // prettier-ignore
      const split = heldOutSplitOf(part, opened, evalSplit);
      if (split === undefined) continue;
      const isCounted = opened.whole !== false;
      opened.heldOut = {
        split,
        examples: isCounted ? (await task.measure({ ...part, split }, model, options)).report.parts : undefined,
      };
    }
    return await previewOf(datasets, model);
  } finally {
    for (const { close } of datasets) close();
  }
}

/** Whether the first rows name or hold pictures. */
async function showsPictures(part: MixPart): Promise<boolean> {
  const source = await openRows(part.path, part);
  for await (const batch of source.rows())
    return batch.some((row) => !isBroken(row) && picturesIn(row, source.columns, part.path).pictures.length > 0);
  return false;
}

async function previewOf(datasets: Previewed[], model: ModelFile): Promise<DatasetPreview> {
  const examples = concatenated(datasets.map((dataset) => dataset.examples));
  const report = mixReport(datasets);
  const shown = Array.from({ length: Math.min(SHOWN_EXAMPLES, examples.count) }, (_, i) => examples.read(i));
  const pictures: PicturesShown[] = [];
  for (const example of shown) pictures.push(await picturesOf(example, model));
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
      dropped: shownReasons(report.dropped),
    },
    histogram: histogramOf(sizesOf(examples)),
    examples: shown.map((example, i) => ({
      ...{ row: example.row, truncated: example.truncated, tokens: example.inputIds.length },
      ...{ spans: spansOf(example, model), pictures: pictures[i] },
    })),
  };
}

/** Each broken picture has a reason of its own: of many the first are named. */
export function shownReasons(dropped: DataReport['dropped']): DatasetPreview['report']['dropped'] {
  const named = dropped.slice(0, SHOWN_REASONS);
  const rest = dropped.slice(SHOWN_REASONS).flatMap(({ rows }) => rows);
  const all = rest.length > 0 ? [...named, { reason: 'for other reasons', rows: rest }] : named;
  return all.map(({ reason, rows }) => ({ reason, count: rows.length, rows: rows.slice(0, SHOWN_ROWS) }));
}

/** An example's pictures in small, and what they become. */
async function picturesOf(example: PreparedExample, model: ModelFile): Promise<PicturesShown> {
  const seen = (await taskOf(model).pictures?.(example, SHOWN_PICTURES)) ?? [];
  return Promise.all(
    seen.map(async ({ name, bytes, tokens }) => ({ name, tokens, ...(await thumbnail({ name, bytes })) })),
  );
}

/** With a file's name where its place stands: an upload's says nothing to a person. */
export const named = (notes: readonly string[], path: string): string[] =>
  notes.map((note) => note.replaceAll(path, basename(path)));

/** Neighbouring tokens with or without loss as one piece of text; those that stand for a part of a picture are counted. */
function spansOf({ inputIds: ids, labels }: PreparedExample, { tokenizer, sees }: ModelFile) {
  const spans: { text: string; loss: boolean }[] = [];
  const kindOf = (at: number) => (ids[at] === sees?.imageToken ? 'picture' : labels[at]! >= 0 ? 'loss' : 'text');
  let shown = 0;
  for (let from = 0; from < ids.length && shown < SHOWN_TOKENS;) {
    const kind = kindOf(from);
    let to = from + 1;
    while (to < ids.length && kindOf(to) === kind && (kind === 'picture' || shown + to - from < SHOWN_TOKENS)) to += 1;
    const piece = ids.subarray(from, to);
    const text = tokenizer ? tokenizer.decode(piece) : [...piece].join(' ');
    spans.push(kind === 'picture' ? { text: `[${to - from} of a picture]`, loss: false } : { text, loss: kind === 'loss' }); // prettier-ignore
    shown += kind === 'picture' ? 1 : to - from;
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
