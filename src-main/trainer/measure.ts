import {
  openDataset,
  readDataset,
  type DatasetOptions,
  type DatasetSource,
  type PreparedExample,
} from '../data/dataset.ts';
import type { DataReport } from '../data/types.ts';
import { UserError } from '../engine/types.ts';
import type { ModelFile } from '../models/types.ts';
import { accuracy, meanLoss, type Evaluation } from './evaluate.ts';
import type { OpenedModel } from './opened-model.ts';

/** Longest example read unless told otherwise, tokens. */
export const USUAL_LENGTH = 2048;

export interface ReadingOptions {
  /** longest example, tokens; default the model's context, at most `USUAL_LENGTH` */
  sequenceLength?: number;
  /** which tokens carry loss; default the answer's */
  loss?: 'answer' | 'all';
}

/** How a dataset is read for a model. @throws UserError if the sequence is longer than the model's context */
export function readingOptions(
  { name, config, tokenizer, chatTemplate: template }: ModelFile,
  { sequenceLength = Math.min(config.contextLength, USUAL_LENGTH), loss = 'answer' }: ReadingOptions = {},
): DatasetOptions {
  if (sequenceLength > config.contextLength)
    throw new UserError(
      `A sequence of ${sequenceLength} tokens was asked for, but ${name} reads ${config.contextLength} tokens at most; lower it`,
    );
  return { tokenizer, template, loss, sequenceLength, vocabularySize: config.vocabularySize };
}

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
