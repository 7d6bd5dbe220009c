import { openDataset, readDataset, type DatasetSource, type PreparedExample } from '../data/dataset.ts';
import type { DataReport } from '../data/types.ts';
import { accuracy, meanLoss, type Evaluation } from './evaluate.ts';
import type { OpenedModel } from './opened-model.ts';
import { readingOptions, type ReadingOptions } from './reading-options.ts';

/** What `effilora eval` says of a model on a dataset. */
export interface Measurement extends Evaluation {
  /** share of the examples with options whose right one was likeliest; undefined where none has options */
  accuracy?: number;
  accuracyExamples?: number;
  report: DataReport;
}

/** Mean loss over the label tokens of a dataset, and accuracy where its examples have options. @throws UserError */
export async function measure(
  { file, model, adapter }: OpenedModel,
  source: DatasetSource,
  reading?: ReadingOptions,
): Promise<Measurement> {
  const options = readingOptions(file, reading);
  const { examples, report, close } = await openDataset(source, 0, options);
  try {
    const evaluation = await meanLoss(model, examples, adapter);
    const answered = await accuracy(model, examples, options, adapter);
    return { ...evaluation, accuracy: answered?.accuracy, accuracyExamples: answered?.examples, report };
  } finally {
    close();
  }
}

/** A dataset's examples as an opened model reads them. @throws UserError */
export async function examplesFor(
  { file }: OpenedModel,
  source: DatasetSource,
  reading?: ReadingOptions,
): Promise<PreparedExample[]> {
  return (await readDataset(source, 0, readingOptions(file, reading))).examples;
}
