import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { fullAttention, fullAttentionComposed } from '../../src-main/engine/full-attention.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { stepCompiler } from '../../src-main/engine/compiler.ts';
import type { EngineName } from '../../src-main/engine/types.ts';
import { largestDifference } from '../models/support.ts';

const [ROWS, HEADS, QUERIES, KEYS] = [2, 3, 11, 7];
/** Numbers of a head: fewer than a register holds, some more than one and than two hold. */
const SIZES = [4, 23, 40];

/** softmax(q k^T / sqrt(size)) v and the gradients of sum(out * direction), in doubles. */
function byHand(q: Float32Array, k: Float32Array, v: Float32Array, direction: Float32Array) {
  const width = q.length / (ROWS * QUERIES);
  const size = width / HEADS;
  const made = [q, k, v, q].map((values) => new Float64Array(values.length)) as [Float64Array, Float64Array, Float64Array, Float64Array]; // prettier-ignore
  const [dq, dk, dv, out] = made;
  for (let row = 0; row < ROWS; row++)
    for (let head = 0; head < HEADS; head++)
      for (let i = 0; i < QUERIES; i++) {
        const at = (row * QUERIES + i) * width + head * size;
        const place = (j: number) => (row * KEYS + j) * width + head * size;
        const dot = (a: Float32Array, b: Float32Array, j: number) =>
          Array.from({ length: size }, (_, d) => a[at + d]! * b[place(j) + d]!).reduce((x, y) => x + y);
        const keys = Array.from({ length: KEYS }, (_, j) => j);
        const weights = keys.map((j) => Math.exp(dot(q, k, j) / Math.sqrt(size)));
        const total = weights.reduce((x, y) => x + y);
        const p = weights.map((weight) => weight / total);
        const dp = keys.map((j) => dot(direction, v, j));
        const mean = keys.reduce((sum, j) => sum + p[j]! * dp[j]!, 0);
        for (const j of keys)
          for (let d = 0; d < size; d++) {
            const ds = (p[j]! * (dp[j]! - mean)) / Math.sqrt(size);
            out[at + d]! += p[j]! * v[place(j) + d]!;
            dq[at + d]! += ds * k[place(j) + d]!;
            dk[place(j) + d]! += ds * q[at + d]!;
            dv[place(j) + d]! += p[j]! * direction[at + d]!;
          }
      }
  return [out, dq, dk, dv];
}

const random = (length: number, seed: number) => Float32Array.from({ length }, (_, i) => Math.sin((i + 1) * seed));
type Case = [Float32Array, Float32Array, Float32Array, Float32Array];
const caseOf = (size: number) => {
  const given = [QUERIES, KEYS, KEYS, QUERIES].map((tokens, i) => random(ROWS * tokens * HEADS * size, 1.7 + i)) as Case; // prettier-ignore
  const tensors = () => given.map((values) => tf.tensor2d(values, [values.length / (HEADS * size), HEADS * size]));
  return { given, tensors, expected: byHand(...given) };
};

/** Output and gradients, with so many scores at once. */
const all = ([q, k, v, direction]: Tensor2D[], mostScores?: number): Tensor[] => {
  const attend = (...[a, b, c]: Tensor[]) =>
    mostScores
      ? fullAttentionComposed(a as Tensor2D, b as Tensor2D, c as Tensor2D, ROWS, HEADS, mostScores)
      : fullAttention(a as Tensor2D, b as Tensor2D, c as Tensor2D, ROWS, HEADS);
  const gradients = tf.grads((...args) => tf.sum(tf.mul(attend(...args), direction!)))([q!, k!, v!]);
  return [attend(q!, k!, v!), ...gradients];
};

// By the engine's own kernel where it has one; whole; in parts of 4, 4 and 3 queries; each query alone.
const PARTS = [undefined, 1e9, ROWS * HEADS * KEYS * 4, 1];

describe.each<EngineName>(['tensorflow', 'wasm', 'cpu'])('attention of all to all on %s', (engine) => {
  beforeAll(async () => void (await openEngine(engine)));

  const each = SIZES.flatMap((size) => PARTS.map((mostScores) => [size, mostScores] as const));
  it.each(each)(
    'in heads of %i is the sum worked out by hand, %s scores at once, and frees all',
    async (size, mostScores) => {
      const { tensors, expected } = caseOf(size);
      const inputs = tensors();
      const before = tf.memory().numTensors;
      const found = all(inputs, mostScores);
      expect(tf.memory().numTensors - before).toBe(4);
      for (const [i, values] of found.entries())
        expect(largestDifference(await values.data(), expected[i]!)).toBeLessThan(1e-5);
      tf.dispose([inputs, found]);
    },
  );
});

it('can be compiled into a step, in parts, too', async () => {
  await openEngine('tensorflow');
  const { given, tensors, expected } = caseOf(4);
  const inputs = tensors();
  const step = await stepCompiler()!.compile({
    feeds: inputs,
    state: [],
    precision: 'f32',
    step: () => ({ outputs: PARTS.flatMap((mostScores) => all(inputs, mostScores)), updates: [] }),
  });
  const found = await step.run(given);
  expect(found).toHaveLength(16);
  for (const [i, values] of found.entries()) expect(largestDifference(values, expected[i % 4]!)).toBeLessThan(1e-5);
  tf.dispose(inputs);
});
