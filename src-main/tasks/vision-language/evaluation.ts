import * as tf from '@tensorflow/tfjs-core';
import { evaluationTokens } from '../../effilora/length-facts.ts';
import { shiftedLabels } from '../../models/batch.ts';
import type { Adaptation } from '../../models/types.ts';
import type { PictureBatch, VisionLanguageModel } from '../../models/vision/vision-language.ts';
import { withAnswer } from '../answers.ts';
import { meanOf, type Likelihood } from '../likelihood.ts';
import type { TextEvaluation } from '../task.ts';
import { rowsToTheLetter } from '../to-the-letter.ts';
import { pictureBatch } from './batch.ts';
import type { SeenExample } from './dataset.ts';
import { pictureObjective, withFeatures } from './objective.ts';

/** Consecutive examples that make a batch of at most `evaluationTokens` tokens with its padding, or a lone longer one. */
function* groups<Sized extends { inputIds: Int32Array }>(examples: Iterable<Sized>): Generator<Sized[]> {
  let group: Sized[] = [];
  let longest = 1;
  for (const example of examples) {
    longest = Math.max(longest, example.inputIds.length);
    if (group.length > 0 && longest * (group.length + 1) > evaluationTokens(1)) {
      yield group;
      [group, longest] = [[], example.inputIds.length];
    }
    group.push(example);
  }
  if (group.length > 0) yield group;
}

/** Log-likelihood of each example's label tokens, and how many they are. */
export async function logLikelihoods(
  model: VisionLanguageModel,
  examples: Iterable<SeenExample>,
  adaptation?: Adaptation,
): Promise<Likelihood[]> {
  const out: Likelihood[] = [];
  for (const group of groups(examples))
    out.push(...(await ofBatch(model, await seenBatch(model, group, adaptation), adaptation)));
  return out;
}

/** A batch of some examples, their pictures read, and seen where `adaptation` leaves alone what sees. */
const seenBatch = async (model: VisionLanguageModel, examples: SeenExample[], adaptation?: Adaptation) =>
  model.seen(await batchOf(examples), adaptation);

/** A batch of some examples, their pictures read. */
export async function batchOf(examples: SeenExample[]): Promise<PictureBatch> {
  const fed = await Promise.all(examples.map((example) => example.fed()));
  return pictureBatch(examples.map(({ inputIds, labels }, i) => ({ inputIds, labels, ...fed[i]! })));
}

/** The likelihoods of the rows of a batch. */
async function ofBatch(
  model: VisionLanguageModel,
  batch: PictureBatch,
  adaptation?: Adaptation,
): Promise<Likelihood[]> {
  const tensors = pictureObjective(model).tensors(batch);
  const picked = tf.tidy(() =>
    model.language.pickedLogProbabilities(withFeatures(model, tensors, { adaptation }), { adaptation }),
  );
  const values = await picked.data();
  picked.dispose();
  tf.dispose(tensors as unknown as tf.TensorContainer);
  const parts = Array.from({ length: batch.rows }, () => ({ sum: 0, tokens: 0 }));
  shiftedLabels(batch).forEach(({ row }, i) => {
    const part = parts[Math.floor(row / batch.length)]!;
    part.sum += values[i]!;
    part.tokens++;
  });
  return parts;
}

/** Whether each example is answered to the letter. */
export async function answersToTheLetter(
  model: VisionLanguageModel,
  examples: Iterable<SeenExample>,
  adaptation?: Adaptation,
): Promise<boolean[]> {
  const out: boolean[] = [];
  for (const group of groups(examples)) {
    const batch = await seenBatch(model, group, adaptation);
    const tensors = pictureObjective(model).tensors(batch);
    const seen = withFeatures(model, tensors, { adaptation });
    out.push(...(await rowsToTheLetter(model.language, batch, seen, adaptation)));
    tf.dispose([seen, tensors] as unknown as tf.TensorContainer);
  }
  return out;
}

/** Mean loss over the label tokens of some examples. */
export async function meanLoss(
  model: VisionLanguageModel,
  examples: Iterable<SeenExample>,
  adaptation?: Adaptation,
): Promise<TextEvaluation> {
  return meanOf(await logLikelihoods(model, examples, adaptation));
}

/** Which of some candidates is likeliest as an example's answer. */
export async function likeliestOption(
  model: VisionLanguageModel,
  example: SeenExample,
  candidates: string[],
  adaptation?: Adaptation,
): Promise<string> {
  const told = candidates.map((candidate) => example.told(withAnswer(example.example, candidate)));
  const kept = told.flatMap((one, i) => (typeof one === 'string' ? [] : [{ ...one, candidate: candidates[i]! }]));
  const fed = await example.fed();
  let best = { candidate: candidates[0]!, sum: -Infinity };
  for (const group of groups(kept)) {
    const batch = await model.seen(pictureBatch(group.map(({ inputIds, labels }) => ({ inputIds, labels, ...fed }))), adaptation); // prettier-ignore
    for (const [i, { sum }] of (await ofBatch(model, batch, adaptation)).entries())
      if (sum > best.sum) best = { candidate: group[i]!.candidate, sum };
  }
  return best.candidate;
}
