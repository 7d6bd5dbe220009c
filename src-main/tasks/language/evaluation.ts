import { packBatch, padBatch } from '../../data/batches.ts';
import { prepare, type DatasetOptions, type PreparedExample } from '../../data/dataset.ts';
import { evaluationTokens } from '../../effilora/length-facts.ts';
import { batchTensors, disposeBatch } from '../../models/batch.ts';
import type { CausalLM } from '../../models/causal-lm.ts';
import type { Adaptation } from '../../models/types.ts';
import { withAnswer } from '../answers.ts';
import { meanOf } from '../likelihood.ts';
import type { TextEvaluation } from '../task.ts';
import { rowsToTheLetter } from '../to-the-letter.ts';

/** Cuts examples into batches of at most `evaluationTokens` tokens, in order. */
function* batches(examples: Iterable<PreparedExample>, longest: number): Generator<PreparedExample[]> {
  let batch: PreparedExample[] = [];
  let tokens = 0;
  for (const example of examples) {
    if (batch.length && tokens + example.inputIds.length > evaluationTokens(longest)) {
      yield batch;
      batch = [];
      tokens = 0;
    }
    batch.push(example);
    tokens += example.inputIds.length;
  }
  if (batch.length) yield batch;
}

/** Log-likelihood of each example's label tokens, and how many they are. Examples are gone through twice. */
export async function logLikelihoods(
  model: CausalLM,
  examples: Iterable<PreparedExample>,
  adaptation?: Adaptation,
): Promise<{ sum: number; tokens: number }[]> {
  let longest = 1;
  for (const { inputIds } of examples) longest = Math.max(longest, inputIds.length);
  const out: { sum: number; tokens: number }[] = [];
  for (const group of batches(examples, longest)) {
    // One row an example, so that each one's part is known; packing keeps a lone row unpadded.
    const batch = packBatch(group, Math.max(longest, ...group.map(({ inputIds }) => inputIds.length)));
    const values = await model.labelLogProbabilities(batch, { adaptation });
    out.push(...sumsBySegment(group, batch.segments, batch.length, batch.inputIds, values));
  }
  return out;
}

/** Sums per example: packBatch lays them out longest first, so each is found by its row and segment. */
function sumsBySegment(
  group: PreparedExample[],
  segments: Int32Array,
  length: number,
  inputIds: Int32Array,
  values: Float32Array,
): { sum: number; tokens: number }[] {
  const places: { start: number; size: number }[] = [];
  for (let t = 0; t < segments.length; t++) {
    if (segments[t]! < 0) continue;
    const fresh = t % length === 0 || segments[t - 1] !== segments[t];
    if (fresh) places.push({ start: t, size: 1 });
    else places.at(-1)!.size++;
  }
  const free = new Set(places);
  return group.map(({ inputIds: ids, labels }) => {
    const place = [...free].find(
      ({ start, size }) => size === ids.length && ids.every((id, i) => inputIds[start + i] === id),
    )!;
    free.delete(place);
    let sum = 0;
    let tokens = 0;
    labels.forEach((label, i) => {
      if (i === 0 || label < 0) return;
      sum += values[place.start + i]!;
      tokens++;
    });
    return { sum, tokens };
  });
}

/** Whether each example is answered to the letter. */
export async function answersToTheLetter(
  model: CausalLM,
  examples: Iterable<PreparedExample>,
  adaptation?: Adaptation,
): Promise<boolean[]> {
  const out: boolean[] = [];
  for (const group of batches(examples, 1)) {
    const batch = padBatch(group);
    const tensors = batchTensors(model.config, batch);
    out.push(...(await rowsToTheLetter(model, batch, tensors, adaptation)));
    disposeBatch(tensors);
  }
  return out;
}

/** Mean loss over the label tokens of some examples. */
export async function meanLoss(
  model: CausalLM,
  examples: Iterable<PreparedExample>,
  adaptation?: Adaptation,
): Promise<TextEvaluation> {
  return meanOf(await logLikelihoods(model, examples, adaptation));
}

/** Which of the options of an example is likeliest as its answer: the one with the highest log-likelihood. */
export async function likeliestOption(
  model: CausalLM,
  { example, source }: PreparedExample,
  candidates: string[],
  options: DatasetOptions,
  adaptation?: Adaptation,
): Promise<string> {
  const prepared = candidates.map((option) => prepare(withAnswer(example, option), source, options));
  const scores = await logLikelihoods(
    model,
    prepared.filter((p) => typeof p !== 'string'),
    adaptation,
  );
  const best = scores.reduce((most, score, i) => (score.sum > scores[most]!.sum ? i : most), 0);
  return candidates[best]!;
}
