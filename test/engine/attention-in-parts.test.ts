import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { attentionComposed } from '../../src-main/engine/attention.ts';
import { stepCompiler } from '../../src-main/engine/compiler.ts';
import { largestDifference } from '../models/support.ts';
import { openGpuConfiguration } from '../support/gpu-configuration.ts';

const [ROWS, LENGTH, HEADS, KEY_VALUE_HEADS, SIZE] = [2, 11, 4, 2, 6];
const TOKENS = ROWS * LENGTH;
const wave = (length: number, pace: number) => Float32Array.from({ length }, (_, i) => Math.sin((i + 1) * pace));
/** Two examples a row and padding; each token of the second one of the first row sees to its end. */
const SEGMENTS = Int32Array.from({ length: TOKENS }, (_, t) => (t % LENGTH < 4 ? 0 : t % LENGTH < 9 ? 1 : -1));
const REACH = Int32Array.from({ length: TOKENS }, (_, t) => (t >= 4 && t < 9 ? 8 : t % LENGTH));

/** Output and gradients, with so many scores at once. */
function all(given: Tensor[], mostScores: number, window?: number, looksAhead = false): Tensor[] {
  const [q, k, v, direction, segments, reach] = given as [Tensor2D, Tensor2D, Tensor2D, Tensor2D, Tensor1D, Tensor1D];
  const options = { length: LENGTH, heads: HEADS, keyValueHeads: KEY_VALUE_HEADS, scale: SIZE ** -0.5, window };
  const attend = (...[a, b, c]: Tensor[]) =>
    attentionComposed(a as Tensor2D, b as Tensor2D, c as Tensor2D, segments, options, looksAhead ? reach : undefined, mostScores); // prettier-ignore
  const gradients = tf.grads((...args) => tf.sum(tf.mul(attend(...args), direction)))([q, k, v]);
  return [attend(q, k, v), ...gradients];
}

describe('attention over examples in a row, a part of the queries at a time', () => {
  beforeAll(async () => void (await openGpuConfiguration()));

  const values = () => [
    ...[HEADS, KEY_VALUE_HEADS, KEY_VALUE_HEADS, HEADS].map((heads, i) => wave(TOKENS * heads * SIZE, 1.7 + i)),
    ...[SEGMENTS, REACH],
  ];
  const tensors = () =>
    values().map((each) =>
      each instanceof Int32Array ? tf.tensor1d(each, 'int32') : tf.tensor2d(each, [TOKENS, each.length / TOKENS]),
    );

  // parts of 4, 4 and 3 queries, and each query alone
  const parts = [ROWS * HEADS * LENGTH * 4, 1];
  const kinds = [[undefined, false], [3, false], [undefined, true]] as const; // prettier-ignore
  it.each(parts.flatMap((most) => kinds.map((kind) => [most, ...kind] as const)))(
    'has the numbers of all at once: %i scores, window %s, ahead %s; eagerly and compiled',
    async (mostScores, window, looksAhead) => {
      const feeds = tensors();
      const expected = all(feeds, 1e9, window, looksAhead);
      const eager = all(feeds, mostScores, window, looksAhead);
      const step = await stepCompiler()!.compile({
        ...{ feeds, state: [], precision: 'f32' },
        step: () => ({ outputs: all(feeds, mostScores, window, looksAhead), updates: [] }),
      });
      const compiled = await step.run(values());
      expected.forEach((tensor, i) => {
        const wanted = tensor.dataSync() as Float32Array;
        expect(largestDifference(eager[i]!.dataSync(), wanted), `eager ${i}`).toBeLessThan(1e-5);
        expect(largestDifference(compiled[i]!, wanted), `compiled ${i}`).toBeLessThan(1e-5);
      });
    },
  );
});
