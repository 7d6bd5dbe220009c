import type { DatasetOptions, DatasetSource, PreparedExample } from '../data/dataset.ts';
import { readingOptions, type ReadingOptions } from '../data/reading-options.ts';
import type { DataReport } from '../data/types.ts';
import { taskOf } from '../tasks/registry.ts';
import type { Evaluation } from '../tasks/task.ts';
import type { OpenedModel } from './opened-model.ts';

/** What `effilora eval` says of a model on a dataset. */
export interface Measurement extends Evaluation {
  /** share of the examples with options whose right one was likeliest; undefined where none has options */
  accuracy?: number;
  accuracyExamples?: number;
  report: DataReport;
}

/** Mean loss over the label tokens of a dataset, and accuracy where its examples have options. @throws UserError */
export async function measure(
  opened: OpenedModel,
  source: DatasetSource,
  reading?: ReadingOptions,
): Promise<Measurement> {
  const { file, model, adapter } = opened;
  const options = readingOptions(file, reading);
  const { examples, report, close } = await taskOf(file).dataset(source, 0, file, options);
  try {
    const evaluation = await taskOf(file).evaluate(model, examples, adapter);
    const answered = await accuracy(opened, examples, options);
    return { ...evaluation, accuracy: answered?.accuracy, accuracyExamples: answered?.examples, report };
  } finally {
    close();
  }
}

/**
 * Share of the examples whose right option has the highest log-likelihood among the options of their "Answer format" line.
 * @returns undefined where no example has an answer and options
 */
async function accuracy(
  { file, model, adapter }: OpenedModel,
  prepared: Iterable<unknown>,
  options: DatasetOptions,
): Promise<{ accuracy: number; examples: number } | undefined> {
  const { choices } = taskOf(file);
  let [examples, right] = [0, 0];
  for (const example of prepared) {
    const question = choices.of(example);
    if (!question) continue;
    examples++;
    if (question.answer === (await choices.likeliest(model, example, question.options, options, adapter))) right++;
  }
  return examples === 0 ? undefined : { accuracy: right / examples, examples };
}

/** A dataset's examples as an opened model reads them. @throws UserError */
export async function examplesFor(
  { file }: OpenedModel,
  source: DatasetSource,
  reading?: ReadingOptions,
): Promise<PreparedExample[]> {
  const { examples, close } = await taskOf(file).dataset(source, 0, file, readingOptions(file, reading));
  try {
    // Read now, as its file is closed later.
    return Array.from(examples as Iterable<PreparedExample>, (example) => ({ ...example }));
  } finally {
    close();
  }
}
