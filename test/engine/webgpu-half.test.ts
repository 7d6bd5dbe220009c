// In the project `lavapipe` alone: SwiftShader has no shader-f16.
import { noSoftwareGpu, softwareGpu } from '../support/software-gpu.ts';
import { onWebgpu } from '../support/on-webgpu.ts';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { attention } from '../../src-main/engine/attention.ts';
import { hasHalfPrecision, inHalfPrecision } from '../../src-main/engine/fused-kernels.ts';
import { openWebgpu } from '../../src-main/engine/webgpu/open.ts';
import { difference, numbers } from './webgpu-numbers.ts';

const [rows, length, heads, keyValueHeads, size] = [2, 37, 4, 2, 40];
const tokens = rows * length;
const options = { length, heads, keyValueHeads, scale: size ** -0.5, window: 20 };
const shapes = [heads, keyValueHeads, keyValueHeads].map((count): [number, number] => [tokens, count * size]);

/** The output of attention, and its gradients to q, k and v. */
async function valueAndGradients(inputs: Float32Array[], slope: Float32Array): Promise<Float32Array[]> {
  const tensors = tf.tidy(() => {
    const f = (...[q, k, v]: Tensor[]) =>
      attention(q as Tensor2D, k as Tensor2D, v as Tensor2D, tf.zeros([tokens], 'int32'), options);
    const given = inputs.map((values, i) => tf.tensor2d(values, shapes[i]));
    const { value, grads } = tf.valueAndGrads(f)(given, tf.tensor2d(slope, shapes[0]));
    return [value, ...grads];
  });
  const values = await Promise.all(tensors.map((tensor) => tensor.data()));
  tf.dispose(tensors);
  return values as Float32Array[];
}

/** The largest score that magnitudes of q and k can make, whichever meet. */
function largestScore([q, k]: Float32Array[]): number {
  const largest = (x: Float32Array) =>
    Math.max(...Array.from({ length: x.length / size }, (_, i) => Math.hypot(...x.subarray(i * size, (i + 1) * size))));
  return options.scale * largest(q!) * largest(k!);
}

describe.skipIf(noSoftwareGpu)(
  `attention in half precision on ${softwareGpu}${noSoftwareGpu ? `: ${noSoftwareGpu}` : ''}`,
  () => {
    onWebgpu();
    beforeAll(() => expect(hasHalfPrecision()).toBe(true));

    // Multiples of 2^-10 below 1 are numbers of f16.
    const exact = (count: number) => numbers(count).map((x) => Math.round(1024 * x) / 1024);

    it.each([1, 2 ** -40])('numbers that f16 holds give what f32 gives, gradients of about %d, too', async (small) => {
      const inputs = shapes.map(([count, width]) => exact(count * width));
      const slope = exact(tokens * heads * size).map((x) => small * x);
      const whole = await valueAndGradients(inputs, slope);
      const shaders = vi.spyOn((await openWebgpu()).device, 'createShaderModule');
      const half = await inHalfPrecision(() => valueAndGradients(inputs, slope));
      if (small === 1) for (const [{ code }] of shaders.mock.calls) expect(code).toContain('enable f16');
      if (small === 1) expect(shaders).toHaveBeenCalledTimes(4);
      shaders.mockRestore();
      half.forEach((values, i) => expect(difference(values, whole[i]!)).toBeLessThan(1e-5));
    });

    it('other numbers are as near as their rounding lets them', async () => {
      const inputs = shapes.map(([count, width]) => numbers(count * width));
      const slope = numbers(tokens * heads * size);
      const whole = await valueAndGradients(inputs, slope);
      const half = await inHalfPrecision(() => valueAndGradients(inputs, slope));
      // q and k move a score by 2 units of it, which weights and their sum follow; v, dO and what a gradient is summed over by one each
      const unit = 2 ** -11;
      const bound = (4 * largestScore(inputs) + 3) * unit;
      half.forEach((values, i) => {
        expect(difference(values, whole[i]!)).toBeLessThan(bound);
        expect(difference(values, whole[i]!)).toBeGreaterThan(unit / 16);
      });
    });

    it('numbers beyond what f16 holds become its largest, and none is infinite', async () => {
      const inputs = shapes.map(([count, width]) => numbers(count * width));
      inputs[2]![3] = 1e6;
      const half = await inHalfPrecision(() => valueAndGradients(inputs, numbers(tokens * heads * size)));
      for (const values of half) expect(values.every((x) => Number.isFinite(x))).toBe(true);
      expect(Math.max(...half[0]!)).toBeGreaterThan(6e4 / length);
    });
  },
);
