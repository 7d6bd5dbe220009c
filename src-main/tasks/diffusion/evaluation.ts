import { type Pass, passThrough } from '../../models/compiled-forward.ts';
import type { Adaptation } from '../../models/types.ts';
import { meanOf, type Likelihood } from '../likelihood.ts';
import type { Evaluation } from '../task.ts';
import { evaluationBatch, type DiffusionBatch } from './batch.ts';
import type { CaptionedExample } from './dataset.ts';
import { EVALUATED_TIMES } from './draws.ts';
import type { DiffusionNetwork } from './network.ts';
import { noiseErrors, noiseObjective } from './objective.ts';

/** Pictures that go through the network together. */
const AT_ONCE = 4;

/**
 * How far the network's predictions are from their targets on held-out pictures: of each the mean over EVALUATED_TIMES times, always with
 * the same noise, so that two evaluations differ by what was learned alone.
 */
export async function meanError(
  network: DiffusionNetwork,
  examples: Iterable<CaptionedExample>,
  adaptation?: Adaptation,
): Promise<Evaluation> {
  const objective = noiseObjective(network);
  const parts: Likelihood[] = [];
  for (const group of inBuckets(examples)) {
    const sums = group.map((): Likelihood => ({ sum: 0, tokens: EVALUATED_TIMES }));
    for (let turn = 0; turn < EVALUATED_TIMES; turn++) {
      const batch = await objective.ready!(evaluationBatch(group, turn), adaptation ?? NONE);
      const pass: Pass = (inputs, slots) =>
        noiseErrors(network, objective.fed(inputs, batch, false), { adaptation: slots, recompute: false });
      const errors = await passThrough(network.model, 'errors', objective.feeds(batch, false), adaptation, pass, true);
      errors.forEach((error, i) => (sums[i]!.sum -= error));
    }
    parts.push(...sums);
  }
  const { loss, error, examples: count } = meanOf(parts);
  return { loss, error, examples: count };
}

/** What `meanError` passes through the network, batch by batch. */
export function evaluatedBatches(examples: Iterable<CaptionedExample>): (() => DiffusionBatch)[] {
  const turns = Array.from({ length: EVALUATED_TIMES }, (_, turn) => turn);
  return [...inBuckets(examples)].flatMap((group) => turns.map((turn) => () => evaluationBatch(group, turn)));
}

/** Changes nothing. */
const NONE: Adaptation = { parameters: () => ({}), apply: (_, x, y) => (void x, y) };

/** Examples of one bucket at a time, a few together. */
export function* inBuckets(examples: Iterable<CaptionedExample>): Generator<CaptionedExample[]> {
  const waiting = new Map<string, CaptionedExample[]>();
  for (const example of examples) {
    const { bucketWidth, bucketHeight } = example.picture;
    const name = `${bucketWidth} ${bucketHeight}`;
    const group = [...(waiting.get(name) ?? []), example];
    if (group.length === AT_ONCE) yield group;
    waiting.set(name, group.length === AT_ONCE ? [] : group);
  }
  for (const group of waiting.values()) if (group.length > 0) yield group;
}
