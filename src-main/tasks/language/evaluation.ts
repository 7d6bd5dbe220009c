import { packBatch } from '../../data/batches.ts';
import { prepare, type DatasetOptions, type PreparedExample } from '../../data/dataset.ts';
import type { Example } from '../../data/types.ts';
import { evaluationTokens } from '../../effilora/length-facts.ts';
import type { CausalLM } from '../../models/causal-lm.ts';
import { messageText } from '../../models/message-text.ts';
import type { Adaptation } from '../../models/types.ts';
import type { Evaluation } from '../task.ts';

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

/** Mean loss over the label tokens of some examples. */
export async function meanLoss(
  model: CausalLM,
  examples: Iterable<PreparedExample>,
  adaptation?: Adaptation,
): Promise<Evaluation> {
  const parts = await logLikelihoods(model, examples, adaptation);
  const tokens = parts.reduce((all, part) => all + part.tokens, 0);
  const loss = -parts.reduce((all, part) => all + part.sum, 0) / tokens;
  return { loss, perplexity: Math.exp(loss), error: standardError(parts, loss), tokens, examples: parts.length };
}

/** Of a mean over tokens that come in examples: of a ratio of two sums (Cochran, Sampling Techniques, 2.46). */
export function standardError(parts: { sum: number; tokens: number }[], loss: number): number | null {
  const { length } = parts;
  if (length < 2) return null;
  const tokens = parts.reduce((all, part) => all + part.tokens, 0);
  const squares = parts.reduce((all, part) => all + (-part.sum - loss * part.tokens) ** 2, 0);
  return Math.sqrt((squares * length) / (length - 1)) / tokens;
}

/** The example with another answer in place of its own. */
function withAnswer(example: Example, option: string): Example {
  const put = (output: string) =>
    'answer' in example && example.answer && output.includes(example.answer)
      ? output.replace(example.answer, option)
      : option;
  if (example.kind === 'completion') return { ...example, completion: put(example.completion) };
  if (example.kind !== 'chat') return example;
  const last = example.messages.at(-1)!;
  return { ...example, messages: [...example.messages.slice(0, -1), { ...last, content: put(messageText(last)) }] };
}

/** An example's question with the options to choose from, where it has an answer among some. */
export function optionsOf({ example }: PreparedExample): { answer: string; options: string[] } | undefined {
  if (example.kind !== 'chat' && example.kind !== 'completion') return undefined;
  const { answer, options } = example;
  return answer && options?.includes(answer) ? { answer, options } : undefined;
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
