import type { DatasetOptions, DatasetSource } from '../data/dataset.ts';
import type { DataReport } from '../data/types.ts';
import type { Conversant } from '../models/conversant.ts';
import { readingOfPictures } from '../recipe/diffusion.ts';
import { agreement } from '../tasks/agreement.ts';
import { taskOf } from '../tasks/registry.ts';
import type { Evaluation, ReadingWish, TextEvaluation } from '../tasks/task.ts';
import type { OpenedForMeasuring, OpenedModel } from './opened-model.ts';

/** What `effilora eval` says of a model on a dataset. */
export interface Measurement extends Evaluation, Partial<Omit<TextEvaluation, keyof Evaluation>> {
  /** of the examples that have a right answer, the share that is right; undefined where none has */
  accuracy?: number;
  accuracyExamples?: number;
  /** how many of them were told by their options, by several people's answers (agreement) and to the letter (exact) */
  accuracyBy?: { options: number; agreement: number; exact: number };
  report: DataReport;
}

/**
 * Mean loss over a dataset, and accuracy where its examples have a right answer. Pictures are read as the adapter's recipe read them,
 * where `reading` doesn't say it.
 * @throws UserError
 */
export async function measure(
  opened: OpenedForMeasuring,
  source: DatasetSource,
  reading?: ReadingWish,
): Promise<Measurement> {
  const { file, model, adapter } = opened;
  const { examples, report, options, close } = await examplesFor(opened, source, reading);
  try {
    const evaluation = await taskOf(file).evaluate(model, examples, adapter);
    const asked = file.makes === 'texts' && { file, model: model as Conversant, adapter };
    const answered = asked ? await accuracy(asked, examples, options as DatasetOptions) : {};
    return { ...evaluation, ...answered, report };
  } finally {
    close();
  }
}

type Asked = Pick<OpenedModel, 'file' | 'model' | 'adapter'>;

/** Share of the right answers, where examples have one. */
async function accuracy(
  opened: Asked,
  prepared: Iterable<unknown>,
  options: DatasetOptions,
): Promise<Pick<Measurement, 'accuracy' | 'accuracyExamples' | 'accuracyBy'>> {
  const by = { options: 0, agreement: 0, exact: 0 };
  let right = 0;
  for (const example of prepared) {
    const judged = await judge(opened, example, options);
    if (!judged) continue;
    by[judged.by]++;
    right += judged.right;
  }
  const examples = by.options + by.agreement + by.exact;
  return examples === 0 ? {} : { accuracy: right / examples, accuracyExamples: examples, accuracyBy: by };
}

/** How right a model's answer is, 0 to 1, by what that was told, and the answer where it was written or chosen. */
export interface Judged {
  right: number;
  by: 'options' | 'agreement' | 'exact';
  answer?: string;
}

/**
 * Of an example with options: whether the right one has the highest log-likelihood among them. Of one with several people's answers:
 * how far the likeliest answer agrees with them. Of another short answer: whether it is the likeliest to the letter.
 * @returns undefined where an example has no such answer
 */
export async function judge(
  { file, model, adapter }: Asked,
  example: unknown,
  options: DatasetOptions,
): Promise<Judged | undefined> {
  const { choices, samples } = taskOf(file);
  const question = choices.of(example);
  if (question) {
    const answer = await choices.likeliest(model, example, question.options, options, adapter);
    return { right: Number(answer === question.answer), by: 'options', answer };
  }
  const asked = choices.written(example);
  if (!asked) return undefined;
  if (!asked.given) {
    const [right] = await choices.toTheLetter(model, [example], adapter);
    return { right: Number(right), by: 'exact' };
  }
  const [line] = await samples(file, [example], { samples: 1 }).answer(1, model, adapter);
  return line && { right: agreement(line.answer, asked.given), by: 'agreement', answer: line.answer };
}

/**
 * A dataset's examples as an opened model is measured on them, and how they were read: of pictures as the adapter's recipe read them, where
 * `reading` doesn't say it. To be closed. @throws UserError
 */
export async function examplesFor(
  { file, recipe }: Pick<OpenedForMeasuring, 'file' | 'recipe'>,
  source: DatasetSource,
  reading?: ReadingWish,
) {
  const task = taskOf(file);
  const pictures = { ...readingOfPictures(recipe), ...reading?.pictures };
  const options = task.reading(file, { ...reading, pictures });
  return { options, ...(await task.dataset(source, 0, file, options)) };
}
