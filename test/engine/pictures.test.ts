import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { doubled, frozenConvolution, type Walk } from '../../src-main/engine/convolution.ts';
import { fusedKernels } from '../../src-main/engine/fused-kernels.ts';
import { groupNorm, groupNormComposed } from '../../src-main/engine/group-norm.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import type { EngineName } from '../../src-main/engine/types.ts';
import { largestDifference } from '../models/support.ts';

const wave = (length: number, seed: number) => Float32Array.from({ length }, (_, i) => Math.sin((i + 1) * seed));

/** x [height, width, in] with a filter [3, 3, in, out], by its definition; zeros where there is no pixel. */
function convolvedByHand(x: Float32Array, [height, width]: number[], filter: Float32Array, { padding, stride }: Walk) {
  const along = (size: number) => Math.floor((size + padding[0] + padding[1] - 3) / stride) + 1;
  const [rows, columns] = [along(height!), along(width!)];
  const out = new Float64Array(rows * columns * 2);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      for (let k = 0; k < 9; k++) {
        const [y, x_] = [row * stride + Math.floor(k / 3) - padding[0], column * stride + (k % 3) - padding[0]];
        if (y < 0 || x_ < 0 || y >= height! || x_ >= width!) continue;
        for (let from = 0; from < 3; from++)
          for (let to = 0; to < 2; to++)
            out[(row * columns + column) * 2 + to]! += x[(y * width! + x_) * 3 + from]! * filter[(k * 3 + from) * 2 + to]!; // prettier-ignore
      }
  return { out, shape: [1, rows, columns, 2] as [number, number, number, number] };
}

describe.each<EngineName>(['tensorflow', 'wasm', 'cpu'])('pictures on %s', (engine) => {
  beforeAll(async () => void (await openEngine(engine)));

  const walks: [Walk, number[]][] = [
    [{ padding: [1, 1], stride: 1 }, [5, 4]],
    [{ padding: [1, 1], stride: 2 }, [6, 4]],
    [{ padding: [1, 1], stride: 2 }, [5, 7]],
    [{ padding: [0, 1], stride: 2 }, [6, 4]],
    [{ padding: [0, 1], stride: 2 }, [7, 5]],
  ];
  it.each(walks)('are convolved as %j says, of %j pixels, and back', async (walk, sides) => {
    const values = wave(sides[0]! * sides[1]! * 3, 1.3);
    const weights = wave(54, 0.7);
    const { out, shape } = convolvedByHand(values, sides, weights, walk);
    const direction = wave(out.length, 2.1);
    const x = tf.tensor(values, [1, sides[0]!, sides[1]!, 3]) as Tensor4D;
    const filter = tf.tensor(weights, [3, 3, 3, 2]) as Tensor4D;
    const found = frozenConvolution(x, filter, walk);
    expect(found.shape).toEqual(shape);
    expect(largestDifference(await found.data(), out)).toBeLessThan(1e-5);
    const gradient = tf.tidy(() => {
      const along = tf.tensor(direction, shape);
      return tf.grad((y: Tensor) => tf.sum(tf.mul(frozenConvolution(y as Tensor4D, filter, walk), along)))(x);
    });
    // It is linear: what a pixel is worth is what the sum is of that pixel alone.
    const worth = values.map((_, i) => {
      const alone = convolvedByHand(values.map((__, j) => Number(i === j)), sides, weights, walk).out; // prettier-ignore
      return alone.reduce((sum, value, j) => sum + value * direction[j]!, 0);
    });
    expect(largestDifference(await gradient.data(), worth)).toBeLessThan(1e-5);
    tf.dispose([x, filter, found, gradient]);
  });

  it('are doubled pixel by pixel', async () => {
    const twice = tf.tidy(() => doubled(tf.tensor4d([1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 2, 2])));
    expect([...(await twice.data())]).toEqual(
      [[1, 2, 1, 2, 3, 4, 3, 4], [1, 2, 1, 2, 3, 4, 3, 4], [5, 6, 5, 6, 7, 8, 7, 8], [5, 6, 5, 6, 7, 8, 7, 8]].flat(), // prettier-ignore
    );
    twice.dispose();
  });

  it('are normed by groups whose mean is large beside what they differ by', async () => {
    // Two groups of two channels, twelve pixels; 1000 +- 1, which squares less the squared mean would lose.
    const values = wave(48, 1.9).map((value, i) => value + (i % 4 < 2 ? 1000 : -1000));
    const [weight, bias] = [tf.tensor1d([1, 2, 0.5, -1]), tf.tensor1d([0, 0.25, 0, 1])] as [Tensor1D, Tensor1D];
    const x = tf.tensor(values, [1, 3, 4, 4]) as Tensor4D;
    const expected = new Float64Array(48);
    for (const group of [0, 1]) {
      const own = [...values.keys()].filter((i) => Math.floor((i % 4) / 2) === group);
      const mean = own.reduce((sum, i) => sum + values[i]!, 0) / own.length;
      const variance = own.reduce((sum, i) => sum + (values[i]! - mean) ** 2, 0) / own.length;
      for (const i of own)
        expected[i] = ((values[i]! - mean) / Math.sqrt(variance + 1e-5)) * [1, 2, 0.5, -1][i % 4]! + [0, 0.25, 0, 1][i % 4]!; // prettier-ignore
    }
    const found = groupNorm(x, weight, bias, { groups: 2, epsilon: 1e-5 });
    expect(largestDifference(await found.data(), expected)).toBeLessThan(1e-3);
    const gated = groupNorm(x, weight, bias, { groups: 2, epsilon: 1e-5, silu: true });
    expect(
      largestDifference(
        await gated.data(),
        expected.map((y) => y / (1 + Math.exp(-y))),
      ),
    ).toBeLessThan(1e-3);
    tf.dispose([x, weight, bias, found, gated]);
  });
});

describe('group norms of the engine', () => {
  // Blocks of pixels that fit, that do not, and a single one; channels that fill registers and that do not.
  it.each([
    [[2, 5, 7, 12], 4],
    [[1, 40, 33, 64], 32],
    [[3, 1, 1, 12], 3],
    [[1, 9, 8, 640], 32],
  ] as [[number, number, number, number], number][])(
    'are those of its own operations, forward and back: %j in %d',
    async (shape, groups) => {
      await openEngine('tensorflow');
      expect(fusedKernels()?.groupNorm).toBeDefined();
      const [pictures, channels] = [shape[0], shape[3]];
      const size = shape.reduce((product, side) => product * side, 1);
      const of = (seed: number, length: number, level = 0) => wave(length, seed).map((value) => value + level);
      const x = tf.tensor(of(1.3, size, 20), shape) as Tensor4D;
      const dy = tf.tensor(of(2.3, size), shape);
      const [weight, bias] = [tf.tensor1d(of(0.7, channels)), tf.tensor1d(of(0.9, channels))];
      const shift = tf.tensor2d(of(1.7, pictures * channels, 3), [pictures, channels]);
      for (const silu of [false, true])
        for (const added of [undefined, shift]) {
          const options = { groups, epsilon: 1e-5, silu };
          const run = async (norm: typeof groupNorm) => {
            const out = tf.tidy(() => {
              const f = (y: Tensor, more: Tensor) =>
                norm(y as Tensor4D, weight, bias, options, added && (more as Tensor2D));
              const along = (y: Tensor, more: Tensor) => tf.sum(tf.mul(f(y, more), dy));
              const gradients = added ? tf.grads((y, more) => along(y!, more!))([x, shift]) : [tf.grad((y) => along(y, shift))(x)]; // prettier-ignore
              return [f(x, shift), ...gradients];
            });
            const values = await Promise.all(out.map(async (tensor) => (await tensor.data()) as Float32Array));
            tf.dispose(out);
            return values;
          };
          const [ours, theirs] = [await run(groupNorm), await run(groupNormComposed)];
          expect(ours.length).toBe(added ? 3 : 2);
          ours.forEach((values, i) => expect(largestDifference(values, theirs[i]!), `${silu} ${i}`).toBeLessThan(2e-4));
        }
      tf.dispose([x, dy, weight, bias, shift]);
    },
  );
});
