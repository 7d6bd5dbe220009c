import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { featureNoise, tokenNoise, dropout } from '../../src-main/effilora/dropout.ts';
import { uniform } from '../../src-main/effilora/random.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import type { AdapterOptions, NamedTensor } from '../../src-main/effilora/types.ts';
import { linear, options, sites } from './support.ts';

const tokens = 5;
const id = { block: 1, site: 'v_proj' };
const noWeight = () => {
  throw new Error('the frozen weight is for DoRA only');
};

beforeAll(async () => {
  await openEngine('cpu');
});

/** An adapter off its zero start, with its tensors as the file has them. */
async function filled(
  changes: Partial<AdapterOptions> = {},
): Promise<{ adapter: Adapter; file: Map<string, NamedTensor> }> {
  const adapter = new Adapter(sites, options(changes), 1);
  const tensors = (await adapter.export()).map((t) => ({ ...t, data: uniform(2, t.name, t.data.length, -1, 1) }));
  adapter.import(tensors);
  return { adapter, file: new Map(tensors.map((t) => [t.name, t])) };
}

const input = (width: number, name: string) => tf.tensor2d(uniform(3, name, tokens * width, -1, 1), [tokens, width]);
const run = (adapter: Adapter, x: tf.Tensor2D, y: tf.Tensor2D) =>
  adapter.apply(id, x, y, adapter.parameters(id.block), noWeight);

/** docs/method.md, Forward: the sum over the heads, one number at a time. */
function expected(
  x: number[],
  y: number[],
  file: Map<string, NamedTensor>,
  names: [string, string, string?],
  scale: number,
) {
  const a = file.get(names[0])!;
  const b = file.get(names[1])!;
  const [heads, out, rank] = b.shape as [number, number, number];
  const row = (data: Float32Array, i: number) => x.reduce((sum, v, k) => sum + v * data[i * x.length + k]!, 0);
  const h = Array.from({ length: rank }, (_, i) => row(a.data, i));
  const logits = names[2] ? Array.from({ length: heads }, (_, j) => row(file.get(names[2]!)!.data, j)) : [0];
  const total = logits.reduce((sum, z) => sum + Math.exp(z), 0);
  return Array.from({ length: out }, (_, o) => {
    let sum = y[o]!;
    for (let j = 0; j < heads; j++) {
      for (let i = 0; i < rank; i++)
        sum += (scale * Math.exp(logits[j]!) * b.data[(j * out + o) * rank + i]! * h[i]!) / total;
    }
    return sum;
  });
}

describe('what an adapter adds to a frozen linear', () => {
  const v = 'layers.1.v_proj';
  it.each<[string, Partial<AdapterOptions>, [string, string, string?], number]>([
    ['effilora', {}, ['shared.A.6', `${v}.B`, `${v}.router`], 2],
    [
      'one A a site name, one router a layer',
      { share: 'module', router: 'layer' },
      ['shared.A.v_proj', `${v}.B`, 'layers.1.router.6'],
      2,
    ],
    ['effilora with one head', { heads: 1 }, ['shared.A.6', `${v}.B`, `${v}.router`], 2],
    ['hydralora', { name: 'hydralora' }, [`${v}.A`, `${v}.B`, `${v}.router`], 2],
    ['lora', { name: 'lora' }, [`${v}.A`, `${v}.B`], 2],
    ['rsLoRA', { rsLora: true }, ['shared.A.6', `${v}.B`, `${v}.router`], 4 / Math.sqrt(2)],
  ])('%s', async (_, changes, names, scale) => {
    const { adapter, file } = await filled(changes);
    const x = input(6, 'x');
    const y = input(4, 'y');
    const got = (await run(adapter, x, y).array()) as number[][];
    const rows = (await x.array()).map((row, t) => expected(row, y.arraySync()[t]!, file, names, scale));
    got.flat().forEach((value, k) => expect(value).toBeCloseTo(rows.flat()[k]!, 5));
    adapter.dispose();
  });

  it('leaves the output of the frozen linear as it is, to the last bit, when fresh', async () => {
    for (const name of ['lora', 'hydralora', 'effilora', 'adalora', 'vera'] as const) {
      const adapter = new Adapter(sites, options({ name }), 1);
      const y = input(4, 'y');
      expect(await run(adapter, input(6, 'x'), y).data()).toEqual(await y.data());
      const other = adapter.apply({ block: 0, site: 'o_proj' }, input(6, 'x'), y, adapter.parameters(0), noWeight);
      expect(other).toBe(y);
    }
  });

  it('changes no bit with DoRA either once the magnitudes are ||W||, with or without a bias', async () => {
    const weight = tf.transpose<tf.Tensor2D>(tf.slice(input(6, 'w'), [0, 0], [4, 6]));
    const bias = tf.tensor1d([0.3, -0.7, 0.1, 0.9]);
    for (const name of ['lora', 'effilora'] as const) {
      const adapter = new Adapter(sites, options({ name, dora: true, targets: ['v_proj'] }), 1);
      adapter.initialiseMagnitudes(() => weight.clone());
      const y = input(4, 'y');
      for (const b of [undefined, bias]) {
        const got = adapter.apply(id, input(6, 'x'), y, adapter.parameters(1), () => weight, b);
        expect(await got.data()).toEqual(await y.data());
      }
    }
  });

  it('starts A and router uniform in ±1/sqrt(in), the same for a seed whatever else is adapted', async () => {
    const start = async (targets: string[], seed: number) => {
      const adapter = new Adapter(sites, options({ targets, rank: 64 }), seed);
      return new Map((await adapter.export()).map((t) => [t.name, t.data]));
    };
    const few = await start(['q_proj'], 1);
    const many = await start(['q_proj', 'v_proj'], 1);
    expect(few.get('shared.A.6')).toEqual(many.get('shared.A.6'));
    expect(few.get('shared.A.6')).not.toEqual((await start(['q_proj'], 2)).get('shared.A.6'));
    const a = [...few.get('shared.A.6')!];
    const bound = 1 / Math.sqrt(6);
    expect(Math.max(...a.map(Math.abs))).toBeLessThanOrEqual(bound);
    const variance = a.reduce((sum, value) => sum + value * value, 0) / a.length;
    expect(variance).toBeCloseTo(bound ** 2 / 3, 2);
    expect(few.get('layers.0.q_proj.B')!.every((value) => value === 0)).toBe(true);
  });

  it('drops heads: their part is zero, or the softmax runs over those that stay', async () => {
    const { adapter, file } = await filled();
    const x = input(6, 'x');
    const y = input(4, 'y');
    const names: [string, string, string] = ['shared.A.6', `${v}.B`, `${v}.router`];
    const dropped = new Set(['1.v_proj.0', '1.v_proj.2']);
    const check = async (tensors: Map<string, NamedTensor>) => {
      const rows = x.arraySync().map((row, t) => expected(row, y.arraySync()[t]!, tensors, names, 2));
      const got = (await run(adapter, x, y).array()) as number[][];
      got.flat().forEach((value, k) => expect(value).toBeCloseTo(rows.flat()[k]!, 5));
    };
    const b = file.get(names[1])!;
    const zeroed = new Map(file).set(names[1], {
      ...b,
      data: b.data.map((value, k) => (k < 8 || k >= 16 ? 0 : value)),
    });
    adapter.drop({ heads: dropped, renormalize: false });
    await check(zeroed);
    // only head 1 stays: its weight is 1
    const alone = new Map(file)
      .set(names[1], { ...b, shape: [1, 4, 2], data: b.data.slice(8, 16) })
      .set(names[2], { ...file.get(names[2])!, shape: [1, 6], data: file.get(names[2])!.data.slice(6, 12) });
    adapter.drop({ heads: dropped, renormalize: true });
    await check(alone);
    adapter.drop(undefined);
    await check(file);
  });
});

describe('inside a training step', () => {
  it("gives the router's mean share as the gradient of a tap, padding left out, and nothing leaks", async () => {
    const { adapter } = await filled();
    const x = input(6, 'x');
    const y = input(4, 'y');
    const shareWeight = tf.tensor2d([[0.25], [0.25], [0], [0.25], [0.25]]);
    const active = sites.map(() => tf.ones<tf.Rank.R1>([3]));
    const seen: number[][] = [];
    adapter.observeRouter = (_, omega) => seen.push(...(omega.arraySync() as number[][]));
    run(adapter, x, y).dispose();
    adapter.observeRouter = undefined;
    adapter.step = { active, shareWeight };
    const before = tf.memory().numTensors;
    const share = tf.tidy(() => {
      const parameters = adapter.parameters(1);
      return tf.grad((tap) =>
        tf.sum(adapter.apply(id, x, y, { ...parameters, 'v_proj.share': tap as tf.Tensor2D }, noWeight)),
      )(parameters['v_proj.share']!);
    });
    expect(tf.memory().numTensors).toBe(before + 1);
    const kept = seen.filter((_, t) => t !== 2);
    const mean = [0, 1, 2].map((j) => kept.reduce((sum, row) => sum + row[j]! / 4, 0));
    share.dataSync().forEach((value, j) => expect(value).toBeCloseTo(mean[j]!, 6));
  });

  it('computes no gradient for a head that is not active', async () => {
    const { adapter } = await filled();
    const all = sites.map(() => tf.ones<tf.Rank.R1>([3]));
    const gradient = (active: tf.Tensor1D[]) => {
      adapter.step = { active };
      const parameters = adapter.parameters(1);
      const f = (b: tf.Tensor) =>
        tf.sum(
          tf.square(
            adapter.apply(id, input(6, 'x'), input(4, 'y'), { ...parameters, 'v_proj.B': b as tf.Tensor2D }, noWeight),
          ),
        );
      return tf.grad(f)(parameters['v_proj.B']!).arraySync() as number[][];
    };
    const whole = gradient(all);
    const some = gradient(all.map((ones, k) => (k === 4 ? tf.tensor1d([1, 0, 1]) : ones)));
    expect(some.slice(2, 4).map((row) => row.map(Math.abs))).toEqual([
      [0, 0, 0, 0],
      [0, 0, 0, 0],
    ]);
    expect([some[0], some[5]]).toEqual([whole[0], whole[5]]);
  });
});

describe('dropout', () => {
  it('drops the share asked for, independently from token to token and feature to feature, and repeats', () => {
    const [rows, width, rate] = [400, 300, 0.1];
    const shape = { ...linear(3, 'q_proj'), inFeatures: width, outFeatures: 1 };
    const q = featureNoise(1, shape);
    const mask = (step: number) =>
      dropout(tf.ones<tf.Rank.R2>([rows, width]), rate, tokenNoise(1, step, 0, rows), q).dataSync() as Float32Array;
    const first = mask(1);
    expect(mask(1)).toEqual(first);
    const dropped = (values: Float32Array) => Array.from(values, (value) => Number(value === 0));
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    const zeros = dropped(first);
    expect(mean(zeros)).toBeGreaterThan(rate - 0.005);
    expect(mean(zeros)).toBeLessThan(rate + 0.005);
    expect(Math.max(...first)).toBeCloseTo(1 / (1 - rate), 5);
    const together = (shift: number) => mean(zeros.slice(shift).map((value, k) => value * zeros[k]!));
    for (const shift of [1, 2, width, 2 * width, width + 1])
      expect(Math.abs(together(shift) - rate ** 2)).toBeLessThan(0.003);
    const other = dropped(mask(2));
    expect(Math.abs(mean(zeros.map((value, k) => value * other[k]!)) - rate ** 2)).toBeLessThan(0.003);
  });
});
