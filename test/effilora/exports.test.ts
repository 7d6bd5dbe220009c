import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { Calibration, type Matrix } from '../../src-main/effilora/exports/moments.ts';
import { averaged, gramOf, regressed, relativeError } from '../../src-main/effilora/exports/narrow.ts';
import { plainLora, siteTrainable, type SiteForm } from '../../src-main/effilora/exports/plain-lora.ts';
import { regressedOnInput, relativeErrorOnInput } from '../../src-main/effilora/exports/wide.ts';
import { uniform } from '../../src-main/effilora/random.ts';
import type { AdapterOptions, SiteShape } from '../../src-main/effilora/types.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { options, sites } from './support.ts';

beforeAll(async () => {
  await openEngine('cpu');
});

const TOKENS = 400;

/** An adapter whose heads do something, with a router as sharp as `sharpness`. */
async function filled(changes: Partial<AdapterOptions> = {}, sharpness = 8): Promise<Adapter> {
  const adapter = new Adapter(sites, options(changes), 1);
  const tensors = await adapter.export();
  adapter.import(
    tensors.map((tensor) => {
      const bound = tensor.name.endsWith('.B') ? 1 : tensor.name.includes('router') ? sharpness : 0.5;
      return { ...tensor, data: uniform(5, tensor.name, tensor.data.length, -bound, bound) };
    }),
  );
  return adapter;
}

/** Inputs of a site: correlated and not centred, as activations are. */
function inputs(site: SiteShape): Tensor2D {
  return tf.tidy(() => {
    const width = site.inFeatures;
    const noise = tf.tensor2d(uniform(9, `${width}`, TOKENS * width, -1, 1), [TOKENS, width]);
    const mix = tf.tensor2d(uniform(11, `${width}`, width * width, -1, 1), [width, width]);
    return tf.add<Tensor2D>(tf.matMul(noise, mix), 0.3);
  });
}

function run(adapter: Adapter, site: SiteShape, x: Tensor2D): Tensor2D {
  const y = tf.zeros<tf.Rank.R2>([x.shape[0], site.outFeatures]);
  return adapter.apply(site, x, y, adapter.parameters(site.block), () => {
    throw new Error('not DoRA');
  });
}

/** All sites; neighbours of the same width read one tensor, as q, k and v do. */
function runAll(adapter: Adapter, inputOf: (site: SiteShape) => Tensor2D): void {
  let x: Tensor2D | undefined;
  for (const site of adapter.sites) {
    if (x?.shape[1] !== site.inFeatures) x = inputOf(site);
    run(adapter, site, x).dispose();
  }
}

/** All sites over their inputs in two batches, the second with padding at its end that must not count. */
async function calibrate(adapter: Adapter): Promise<Calibration> {
  const calibration = new Calibration(adapter, new Set([0, 1]));
  const half = TOKENS / 2;
  for (const [from, padding] of [
    [0, 0],
    [half, 50],
  ] as const) {
    const mask = tf.tensor2d(Array.from({ length: half + padding }, (_, t) => [Number(t < half)]));
    calibration.begin({ language: mask });
    runAll(adapter, (site) => {
      const own = tf.slice(inputs(site), [from, 0], [half, -1]);
      return tf.concat([own, tf.ones([padding, site.inFeatures])]) as Tensor2D;
    });
    await calibration.end({ language: half });
  }
  return calibration;
}

/** The adapter's z = concat_j(omega_j h) and h of every token, straight from the formula. */
function samples(adapter: Adapter, site: SiteShape): { h: number[][]; z: number[][] } {
  const seen: { h: number[][]; z: number[][] }[] = [];
  adapter.observeHeads = (_, x, a, z) =>
    seen.push({ h: tf.matMul<Tensor2D>(x, a, false, true).arraySync(), z: z.arraySync() });
  run(adapter, site, inputs(site));
  adapter.observeHeads = undefined;
  return seen[0]!;
}

const applied = ({ rows, columns, data }: Matrix, v: number[]) =>
  Array.from({ length: rows }, (_, i) => v.reduce((sum, value, j) => sum + data[i * columns + j]! * value, 0));

/** ||B^T z|| squared of B [N * r, out]. */
function energy(b: Float32Array, z: number[]): number {
  const out = b.length / z.length;
  let sum = 0;
  for (let o = 0; o < out; o++) sum += z.reduce((y, value, i) => y + value * b[i * out + o]!, 0) ** 2;
  return sum;
}

function measured(b: Float32Array, z: number[][], guess: number[][]): number {
  const error = z.reduce((sum, row, t) => sum + energy(b, row.map((value, i) => value - guess[t]![i]!)), 0); // prettier-ignore
  return Math.sqrt(error / z.reduce((sum, row) => sum + energy(b, row), 0));
}

const weightsOf = (adapter: Adapter, site: SiteShape) =>
  siteTrainable(adapter, site, 'B').variable.dataSync() as Float32Array;

describe('the static export', () => {
  const all: [string, Partial<AdapterOptions>][] = [
    ['effilora', {}],
    ['effilora with a router a layer and A by site', { router: 'layer', share: 'module' }],
    ['hydralora', { name: 'hydralora' }],
  ];

  it.each(all)('of %s is the least-squares one: what it misses is uncorrelated with h', async (_, changes) => {
    const adapter = await filled(changes);
    const calibration = await calibrate(adapter);
    for (const site of adapter.sites) {
      const p = regressed(calibration.moments(site));
      const { h, z } = samples(adapter, site);
      for (let i = 0; i < p.rows; i++)
        for (let j = 0; j < p.columns; j++) {
          const missed = h.reduce((sum, row, t) => sum + (z[t]![i]! - applied(p, row)[i]!) * row[j]!, 0);
          const scale = h.reduce((sum, row, t) => sum + Math.abs(z[t]![i]! * row[j]!), 0);
          expect(Math.abs(missed)).toBeLessThan(1e-4 * scale);
        }
    }
    calibration.dispose();
    adapter.dispose();
  });

  it.each(all)(
    'of %s is never worse than averaging the router, on every site, and N * r is never worse',
    async (_, changes) => {
      const adapter = await filled(changes);
      const calibration = await calibrate(adapter);
      let better = 0;
      for (const site of adapter.sites) {
        const moments = calibration.moments(site);
        const input = calibration.inputMoments(site);
        const b = weightsOf(adapter, site);
        const bb = gramOf(b, moments.zz.rows);
        const [narrow, mean] = [regressed(moments), averaged(moments)];
        const errors = { narrow: relativeError(narrow, moments, bb), mean: relativeError(mean, moments, bb) };
        const a = siteTrainable(adapter, site, 'A').variable;
        const start = tf.matMul<Tensor2D>(
          tf.tensor2d(Float32Array.from(narrow.data), [narrow.rows, narrow.columns]),
          a,
        );
        const l = await regressedOnInput(input, start);
        const wide = await relativeErrorOnInput(l, input, moments.zz, bb);
        expect(errors.narrow).toBeLessThanOrEqual(errors.mean);
        expect(wide).toBeLessThanOrEqual(errors.narrow + 1e-4);
        if (errors.narrow < 0.99 * errors.mean) better++;
        // the reported errors are those of the samples themselves
        const { h, z } = samples(adapter, site);
        const x = inputs(site).arraySync();
        const guesses = { narrow: h.map((row) => applied(narrow, row)), mean: h.map((row) => applied(mean, row)) };
        expect(errors.narrow).toBeCloseTo(measured(b, z, guesses.narrow), 3);
        expect(errors.mean).toBeCloseTo(measured(b, z, guesses.mean), 3);
        const byInput = tf.matMul<Tensor2D>(tf.tensor2d(x), l, false, true).arraySync();
        expect(wide).toBeCloseTo(measured(b, z, byInput), 3);
      }
      expect(better).toBeGreaterThan(0);
      calibration.dispose();
      adapter.dispose();
    },
  );

  it('of rank N * r is the same for sites that are solved together as for each alone', async () => {
    const adapter = await filled();
    const calibration = await calibrate(adapter);
    const groups = calibration.byInput(adapter.sites);
    expect(groups.flat()).toEqual(adapter.sites);
    expect(Math.max(...groups.map(({ length }) => length))).toBeGreaterThan(1);
    const rows = adapter.options.heads * adapter.options.rank;
    const startOf = (group: SiteShape[]) => tf.zeros<tf.Rank.R2>([group.length * rows, group[0]!.inFeatures]);
    for (const group of groups) {
      const together = await regressedOnInput(calibration.inputMoments(...group), startOf(group));
      for (const [i, site] of group.entries()) {
        const alone = await regressedOnInput(calibration.inputMoments(site), startOf([site]));
        const off = tf.norm(tf.sub(tf.slice(together, [i * rows, 0], [rows, -1]), alone));
        expect(off.dataSync()[0]).toBeLessThan(1e-3 * tf.norm(alone).dataSync()[0]!);
      }
    }
    calibration.dispose();
    adapter.dispose();
  });

  it('is exact where the router is the same everywhere', async () => {
    const adapter = await filled({}, 0);
    const calibration = await calibrate(adapter);
    for (const site of adapter.sites) {
      const moments = calibration.moments(site);
      const p = regressed(moments);
      expect([...p.data]).toEqual([...averaged(moments).data].map((value) => expect.closeTo(value, 4)));
      expect(relativeError(p, moments, gramOf(weightsOf(adapter, site), p.rows))).toBeLessThan(1e-3);
    }
    calibration.dispose();
    adapter.dispose();
  });

  it('leaves dropped heads out, with the softmax over the others where asked for', async () => {
    for (const renormalize of [false, true]) {
      const adapter = await filled();
      adapter.drop({ heads: new Set(['0.q_proj.1']), renormalize });
      const calibration = await calibrate(adapter);
      const moments = calibration.moments(adapter.sites[0]!);
      const p = regressed(moments);
      const rank = adapter.options.rank;
      expect([...p.data.subarray(rank * rank, 2 * rank * rank)]).toEqual(new Array(rank * rank).fill(0));
      expect(moments.omega[1]).toBe(0);
      const total = moments.omega.reduce((sum, value) => sum + value, 0);
      if (renormalize) expect(total).toBeCloseTo(1, 5);
      else expect(total).toBeLessThan(0.999);
      calibration.dispose();
      adapter.dispose();
    }
  });

  it('as a plain LoRA puts out what its forms say, whatever the scale', async () => {
    const adapter = await filled({ rsLora: true, alpha: 3 });
    const calibration = await calibrate(adapter);
    const forms = new Map<string, SiteForm>();
    for (const site of adapter.sites)
      forms.set(`${site.block}.${site.site}`, { kind: 'rank-r', p: regressed(calibration.moments(site)) });
    const { options: method, tensors } = await plainLora(adapter, forms, () => tf.zeros([1, 1]));
    const plain = new Adapter(sites, method, 0);
    plain.import(tensors);
    const site = adapter.sites[1]!;
    const { h } = samples(adapter, site);
    const form = forms.get('0.v_proj')!;
    const b = tf.tensor2d(weightsOf(adapter, site), [6, 4]);
    const guess = tf.tensor2d(h.map((row) => applied((form as { p: Matrix }).p, row)));
    const expected = tf.mul(tf.matMul(guess, b), 3 / Math.sqrt(2)).dataSync();
    run(plain, site, inputs(site))
      .dataSync()
      .forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 3));
    for (const one of [adapter, plain, calibration]) one.dispose();
  });

  it('needs no more memory for more tokens', async () => {
    const adapter = await filled();
    const calibration = await calibrate(adapter);
    const before = tf.memory().numTensors;
    const mask = tf.ones<tf.Rank.R2>([TOKENS, 1]);
    calibration.begin({ language: mask });
    tf.tidy(() => runAll(adapter, inputs));
    await calibration.end({ language: TOKENS });
    mask.dispose();
    expect(tf.memory().numTensors).toBe(before);
    calibration.dispose();
    adapter.dispose();
  });
});

afterAll(() => tf.disposeVariables());
