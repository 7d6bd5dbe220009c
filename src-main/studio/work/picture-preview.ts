import type { DatasetPreview } from '../../../src-preload/contract/index.ts';
import { captionWith } from '../../data/caption-text.ts';
import type { DatasetFacts } from '../../data/dataset.ts';
import { dropsMany } from '../../data/dropped.ts';
import type { ExampleSource } from '../../data/example-source.ts';
import { heldOutSplitOf } from '../../data/held-out.ts';
import { mixReport } from '../../data/report.ts';
import type { DiffusionModelFile } from '../../models/diffusion/model-file.ts';
import { taskOf } from '../../tasks/registry.ts';
import type { ReadingWish } from '../../tasks/task.ts';
import { named, shownReasons } from './preview.ts';
import { thumbnail } from './thumbnail.ts';
import type { PreviewRequest } from './types.ts';

const SHOWN_EXAMPLES = 8;

type Opened = DatasetFacts & { examples: ExampleSource<unknown>; whole?: boolean; close(): void };
/** What is known of an example of pictures: its caption, and a word that is put before it. */
type Captioned = { row: number; caption: string; trigger?: string };

/** Reads captioned pictures as training would, or the first of them, and shows them with what is learned of each. */
export async function previewPictures(
  model: DiffusionModelFile,
  { mix, sample, evalSplit, pictures }: PreviewRequest,
): Promise<DatasetPreview> {
  const task = taskOf(model);
  const reading = task.reading(model, { pictures: pictures as ReadingWish['pictures'] });
  const datasets: (Opened & { heldOut?: DatasetPreview['parts'][number]['heldOut'] })[] = [];
  try {
    for (const [index, { path, config, heldOut, acceptDropped }] of mix.entries()) {
      const part = { path, config, heldOut, acceptDropped };
      const opened = (await (sample ? task.sample : task.dataset)(part, index, model, reading)) as Opened;
      const split = heldOutSplitOf(part, opened, evalSplit);
      datasets.push({ ...opened, heldOut: split === undefined ? undefined : { split } });
    }
    const report = mixReport(datasets);
    return {
      whole: datasets.every(({ whole }) => whole !== false),
      parts: datasets.map(({ source, format, mapping, columns, notes, report: of, heldOut, ...place }) => ({
        ...{ path: source.path, format, mapping, columns, notes: named(notes, source.path), heldOut },
        ...{ rows: of.examples, dropped: of.examples - of.kept, dropsMany: dropsMany(of) },
        ...{ split: place.split, splits: place.splits, config: place.config, configs: place.configs },
      })),
      report: { ...report, dropped: shownReasons(report.dropped) },
      sizes: datasets.flatMap(({ buckets }) => buckets ?? []),
      histogram: [],
      examples: await shownExamples(model, datasets),
    };
  } finally {
    for (const { close } of datasets) close();
  }
}

async function shownExamples(model: DiffusionModelFile, datasets: Opened[]): Promise<DatasetPreview['examples']> {
  const shown: DatasetPreview['examples'] = [];
  for (const { examples } of datasets)
    for (let i = 0; i < examples.count && shown.length < SHOWN_EXAMPLES; i++) {
      const example = examples.read(i);
      const { row, caption, trigger } = example as Captioned;
      const pictures = [];
      for (const { name, bytes, tokens } of (await taskOf(model).pictures?.(example, 1)) ?? [])
        pictures.push({ name, tokens, ...(await thumbnail({ name, bytes })) });
      const spans = [{ text: captionWith(caption, { trigger }), loss: true }];
      shown.push({ row, tokens: 0, truncated: false, spans, pictures });
    }
  return shown;
}
