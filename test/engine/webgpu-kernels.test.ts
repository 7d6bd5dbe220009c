import { noSoftwareGpu, softwareGpu } from '../support/software-gpu.ts';
import { onWebgpu } from '../support/on-webgpu.ts';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { attention } from '../../src-main/engine/attention.ts';
import { fullAttention } from '../../src-main/engine/full-attention.ts';
import { linearCrossEntropy } from '../../src-main/engine/cross-entropy.ts';
import { gated, mixture, productAdd, rmsNorm, rotary } from '../../src-main/engine/fused.ts';
import { lowRankMixture } from '../../src-main/engine/low-rank.ts';
import { randomStream } from '../../src-main/engine/random.ts';

type Numbers = { shape: number[]; values: Float32Array };

/** Numbers around zero, the same every time. */
function numbers(name: string, ...shape: number[]): Numbers {
  const random = randomStream(7, name);
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 2 * random() - 1);
  return { shape, values };
}

/** Value and gradients of sum(f(inputs) * slope) with respect to every input, on the backend in use. */
async function valueAndGradients(f: (...inputs: Tensor[]) => Tensor, inputs: Numbers[], slope: Numbers) {
  const out = tf.tidy(() => {
    const tensors = inputs.map(({ values, shape }) => tf.tensor(values, shape));
    const weighted = (...xs: Tensor[]) => {
      const y = f(...xs);
      return tf.sum(tf.mul(y, tf.reshape(tf.tensor(slope.values), y.shape)));
    };
    const { value, grads } = tf.valueAndGrads(weighted)(tensors);
    return [value, f(...tensors), ...grads];
  });
  const values = await Promise.all(out.map((tensor) => tensor.data()));
  tf.dispose(out);
  return { sum: values[0]![0]!, value: values[1]!, gradients: values.slice(2) };
}

function difference(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  let [largest, apart] = [1e-6, 0];
  for (let i = 0; i < theirs.length; i++) {
    largest = Math.max(largest, Math.abs(theirs[i]!));
    apart = Math.max(apart, Math.abs(ours[i]! - theirs[i]!));
  }
  return ours.length === theirs.length ? apart / largest : Infinity;
}

/** Our kernel against the composition on tfjs's cpu backend, and its gradients against finite differences. */
async function check(f: (...inputs: Tensor[]) => Tensor, inputs: Numbers[], slope: Numbers): Promise<void> {
  await tf.setBackend('cpu');
  const composed = await valueAndGradients(f, inputs, slope);
  await tf.setBackend('webgpu');
  const before = tf.memory().numTensors;
  const ours = await valueAndGradients(f, inputs, slope);
  expect(tf.memory().numTensors).toBe(before);
  expect(difference(ours.value, composed.value)).toBeLessThan(1e-5);
  ours.gradients.forEach((gradient, k) => expect(difference(gradient, composed.gradients[k]!)).toBeLessThan(2e-5));

  const step = 5e-3;
  for (const [k, input] of inputs.entries()) {
    const direction = numbers(`direction ${k}`, ...input.shape).values;
    const moved = async (sign: number) => {
      const values = input.values.map((x, i) => x + sign * step * direction[i]!);
      const there = inputs.map((other, i) => (i === k ? { ...input, values } : other));
      return (await valueAndGradients(f, there, slope)).sum;
    };
    const slopeAlong = ((await moved(1)) - (await moved(-1))) / (2 * step);
    const gradient = ours.gradients[k] as Float32Array;
    const predicted = gradient.reduce((sum, g, i) => sum + g * direction[i]!, 0);
    const scale = Math.hypot(...gradient) * Math.hypot(...direction);
    expect(Math.abs(slopeAlong - predicted) / scale).toBeLessThan(5e-3);
  }
}

describe.skipIf(noSoftwareGpu)(`WGSL kernels on ${softwareGpu}${noSoftwareGpu ? `: ${noSoftwareGpu}` : ''}`, () => {
  beforeAll(() => openEngine('cpu'));
  onWebgpu();

  it.each([
    [5, 8],
    [3, 130],
  ])('rmsNorm of %i x %i', async (rows, width) => {
    const weight = numbers('weight', width);
    await check(
      (x) => rmsNorm(x as Tensor2D, tf.tensor1d(weight.values), 1e-5),
      [numbers('x', rows, width)],
      numbers('slope', rows, width),
    );
  });

  it('rotary', async () => {
    const [tokens, heads, half] = [7, 3, 5];
    const angles = numbers('angles', tokens, half).values;
    // GPUs' own cosines are coarse: the tables come from the host, as models/rope.ts makes them
    const tables = () => [Math.cos, Math.sin].map((f) => tf.tensor2d(angles.map((a) => f(a)), [tokens, half])); // prettier-ignore
    await check(
      (x) => {
        const [cos, sin] = tables();
        return rotary(x as Tensor2D, cos!, sin!, heads);
      },
      [numbers('x', tokens, heads * 2 * half)],
      numbers('slope', tokens, heads * 2 * half),
    );
  });

  it.each(['silu', 'gelu', 'gelu_tanh', 'quick_gelu'] as const)('gated by %s', async (activation) => {
    const x = numbers('gate', 6, 9);
    const gate = { ...x, values: x.values.map((value) => 4 * value) };
    const f = (g: Tensor, up: Tensor) => gated(g as Tensor2D, up as Tensor2D, activation);
    await check(f, [gate, numbers('up', 6, 9)], numbers('slope', 6, 9));
  });

  it('gated takes gates far out without an infinity', async () => {
    const y = tf.tidy(() => {
      const gate = tf.tensor2d([[-1e4, -200, 200, 1e4]]);
      return tf.concat([gated(gate, tf.onesLike(gate), 'silu'), gated(gate, tf.onesLike(gate), 'gelu_tanh')]);
    });
    const values = [...(await y.data())];
    y.dispose();
    expect(values.map((value) => Math.round(value) + 0)).toEqual([0, 0, 200, 1e4, 0, 0, 200, 1e4]);
  });

  it.each([
    ['one segment', { length: 21, heads: 2, keyValueHeads: 2, size: 8 }],
    ['grouped queries', { length: 18, heads: 6, keyValueHeads: 2, size: 4 }],
    ['packed examples', { length: 40, heads: 2, keyValueHeads: 1, size: 8, segments: 3 }],
    ['a window', { length: 37, heads: 2, keyValueHeads: 1, size: 8, window: 5 }],
    ['a window over packed examples', { length: 37, heads: 2, keyValueHeads: 1, size: 8, window: 9, segments: 2 }],
    ['heads that are no multiple of four', { length: 19, heads: 2, keyValueHeads: 1, size: 6 }],
    ['several vectors a thread', { length: 19, heads: 1, keyValueHeads: 1, size: 40 }],
  ])('attention without scores: %s', async (_, { length, heads, keyValueHeads, size, ...more }) => {
    const { window, segments: examples = 1 } = more as { window?: number; segments?: number };
    const rows = 2;
    const tokens = rows * length;
    const segments = Int32Array.from({ length: tokens }, (_, t) => {
      const at = t % length;
      return at === length - 1 ? -1 : Math.floor((at * examples) / length); // the last is padding
    });
    const options = { length, heads, keyValueHeads, scale: size ** -0.5, window };
    const f = (q: Tensor, k: Tensor, v: Tensor) =>
      attention(q as Tensor2D, k as Tensor2D, v as Tensor2D, tf.tensor1d(segments, 'int32'), options);
    const inputs = [
      numbers('q', tokens, heads * size),
      numbers('k', tokens, keyValueHeads * size),
      numbers('v', tokens, keyValueHeads * size),
    ];
    await check(f, inputs, numbers('slope', tokens, heads * size));
  });

  it.each([
    ['before and behind', { queries: 35, keys: 35, heads: 2, size: 8 }],
    ['fewer keys', { queries: 35, keys: 21, heads: 2, size: 6 }],
    ['more keys', { queries: 5, keys: 40, heads: 2, size: 8 }],
  ])('attention to all of a row: %s', async (_, { queries, keys, heads, size }) => {
    const f = (q: Tensor, k: Tensor, v: Tensor) => fullAttention(q as Tensor2D, k as Tensor2D, v as Tensor2D, 2, heads);
    const inputs = [numbers('q', 2 * queries, heads * size), numbers('k', 2 * keys, heads * size), numbers('v', 2 * keys, heads * size)]; // prettier-ignore
    await check(f, inputs, numbers('slope', 2 * queries, heads * size));
  });

  it('the cross-entropy of x W^T, with rows that carry no label', async () => {
    const weight = numbers('weight', 37, 12);
    const labels = Int32Array.from({ length: 70 }, (_, t) => (t % 5 === 0 ? -1 : (t * 11) % 37));
    const f = (x: Tensor) =>
      linearCrossEntropy(x as Tensor2D, tf.tensor2d(weight.values, [37, 12]), true, tf.tensor1d(labels, 'int32'));
    await check(f, [numbers('x', 70, 12)], numbers('slope', 1));
  });

  it('the parts of a site: y + scale a b, and the weighted heads', async () => {
    const add = (y: Tensor, a: Tensor, b: Tensor) => productAdd(y as Tensor2D, a as Tensor2D, b as Tensor2D, 0.7);
    const inputs = [numbers('y', 9, 11), numbers('a', 9, 6), numbers('b', 6, 11)];
    await check(add, inputs, numbers('slope', 9, 11));
    await check((mixed) => mixture(mixed as Tensor2D, 4, 3), [numbers('mixed', 9, 7)], numbers('slope', 9, 12));
  });

  it('a whole site, with a head whose B gets no gradient', async () => {
    const [tokens, width, rank, heads, out] = [35, 20, 4, 3, 37];
    const active = [1, 0, 1];
    const composed = (x: Tensor, y: Tensor, a: Tensor, router: Tensor, b: Tensor) => {
      const mixed = tf.concat([tf.matMul(x, a, false, true), tf.matMul(x, router, false, true)], 1);
      const z = mixture(mixed as Tensor2D, rank, heads);
      return productAdd(y as Tensor2D, z, b as Tensor2D, 1.5, tf.tensor1d(active));
    };
    const whole = (...[x, y, a, router, b]: Tensor[]) => {
      const inputs = { x, y, a, router, b, scale: 1.5 } as unknown as Parameters<typeof lowRankMixture>[0];
      return lowRankMixture(inputs, { active: tf.tensor1d(active) });
    };
    const inputs = [
      numbers('x', tokens, width),
      numbers('y', tokens, out),
      numbers('a', rank, width),
      numbers('router', heads, width),
      numbers('b', heads * rank, out),
    ];
    const slope = numbers('slope', tokens, out);
    await tf.setBackend('cpu');
    const expected = await valueAndGradients(composed as never, inputs, slope);
    await tf.setBackend('webgpu');
    const ours = await valueAndGradients(whole, inputs, slope);
    expect(difference(ours.value, expected.value)).toBeLessThan(1e-5);
    ours.gradients.forEach((gradient, k) => expect(difference(gradient, expected.gradients[k]!)).toBeLessThan(2e-5));
    const frozen = ours.gradients[4]!.slice(rank * out, 2 * rank * out);
    expect(frozen.every((value: number) => value === 0)).toBe(true);
    expect(ours.gradients[4]!.slice(0, rank * out).some((value: number) => value !== 0)).toBe(true);
  });

  it("a site's share of each head is the weighted mean of omega", async () => {
    const [tokens, width, rank, heads] = [70, 8, 2, 3];
    const x = numbers('x', tokens, width);
    const router = numbers('router', heads, width);
    const weights = Float32Array.from({ length: tokens }, (_, t) => (t % 7 === 0 ? 0 : 1 / 60));
    const tensor = ({ values, shape }: Numbers) => tf.tensor2d(values, shape as [number, number]);
    const [share, omega] = tf.tidy(() => {
      const weight = tf.tensor2d(weights, [tokens, 1]);
      const f = (tap: Tensor) =>
        lowRankMixture(
          {
            ...{ x: tensor(x), y: tf.zeros([tokens, 4]), router: tensor(router), scale: 1 },
            ...{ a: tensor(numbers('a', rank, width)), b: tensor(numbers('b', heads * rank, 4)) },
          } as Parameters<typeof lowRankMixture>[0],
          { share: { tap: tap as Tensor2D, weight } },
        );
      const gradient = tf.grad(f)(tf.zeros([1, heads]));
      return [gradient, tf.softmax(tf.matMul(tensor(x), tensor(router), false, true))];
    });
    const [got, softmax] = [await share.data(), await omega.data()];
    for (let j = 0; j < heads; j++) {
      let mean = 0;
      for (let t = 0; t < tokens; t++) mean += weights[t]! * softmax[t * heads + j]!;
      expect(got[j]).toBeCloseTo(mean, 5);
    }
    tf.dispose([share, omega]);
  });
});
