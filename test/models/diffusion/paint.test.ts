import fs from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Adapter } from '../../../src-main/effilora/adapter.ts';
import { openEngine } from '../../../src-main/engine/index.ts';
import type { SamplerName } from '../../../src-main/models/diffusion/noise/samplers/index.ts';
import { DiffusionModel } from '../../../src-main/models/diffusion/pipeline/model.ts';
import { openDiffusionFolder } from '../../../src-main/models/diffusion/pipeline/open-folder.ts';
import { developed, paintLatents, type PaintOptions } from '../../../src-main/models/diffusion/pipeline/paint.ts';
import type { Adaptation } from '../../../src-main/models/types.ts';
import { options } from '../../effilora/support.ts';
import { compilations } from '../../support/compilations.ts';
import { scratchFolder } from '../../support/scratch.ts';
import { wholePipeline } from './support.ts';

/** What diffusers' pipelines make of the same noise (../data/diffusion/make_paintings.py). */
interface Painting {
  kind: 'sd' | 'sdxl';
  sampler: SamplerName;
  guidance: number;
  prompts: string[];
  negative: string;
  latents: number[];
  picture: number[];
}
const paintings = JSON.parse(
  fs.readFileSync(path.join(import.meta.dirname, '../data/diffusion/paintings.json'), 'utf8'),
) as Painting[];

let scratch: ReturnType<typeof scratchFolder>;
beforeEach(async () => {
  await openEngine('tensorflow');
  scratch = scratchFolder();
});
afterEach(() => scratch.remove());

async function open(kind: Painting['kind']): Promise<DiffusionModel> {
  await wholePipeline(kind, scratch.folder);
  return DiffusionModel.load(await openDiffusionFolder(scratch.folder));
}

/** Changes nothing, and doesn't say so. */
const UNKNOWN: Adaptation = { parameters: () => ({}), apply: (_, x, y) => (void x, y) };

const furthest = (values: ArrayLike<number>, from: number[]) =>
  Math.max(...from.map((value, i) => Math.abs(values[i]! - value)));

describe('pictures', () => {
  it.each(paintings)('are those that diffusers paints: $kind, $sampler, guidance $guidance', async (told) => {
    const before = tf.memory().numTensors;
    const model = await open(told.kind);
    const { prompts } = told;
    const size = prompts.length * 4 * 8 * 4;
    const noise = Float32Array.from({ length: size }, (_, i) => 1.4 * Math.sin(1 + 2.3 * i + 0.37 * i * i));
    const start = tf.tensor4d(noise, [prompts.length, 4, 8, 4]);
    const done: number[] = [];
    const steps = Array.from({ length: 20 }, (_, i) => i + 1);
    const asked = { ...told, steps: 20, height: 8, width: 16, seeds: [], progress: (step: number) => void done.push(step) }; // prettier-ignore
    // By eager code: no graph can be shared by what tells no structure.
    const apart = await paintLatents(model, { ...asked, adaptation: UNKNOWN }, start);
    expect(furthest(await apart.data(), told.latents)).toBeLessThan(1e-3);
    const paint = () => paintLatents(model, asked, start);
    let latents = apart;
    // Texts, and a step of all of them.
    expect(await compilations(async () => void (latents = await paint()))).toBe(2);
    expect(furthest(await latents.data(), told.latents)).toBeLessThan(1e-3);
    expect(done).toEqual([...steps, ...steps]);
    const vae = await model.vae();
    const pictures = await developed(vae, latents);
    expect(pictures.map(({ width, height }) => [width, height])).toEqual(prompts.map(() => [16, 8]));
    // A half of rounding, and a little.
    expect(furthest(pictures.flatMap(({ rgb }) => [...rgb]), told.picture)).toBeLessThan(0.75); // prettier-ignore
    tf.dispose([start, apart, latents]);
    vae.dispose();
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('are the same by their seeds whatever is painted beside them, and refused at sizes the model can’t have', async () => {
    const model = await open('sd');
    const tensors = tf.memory().numTensors;
    const asked: PaintOptions = {
      ...{ prompts: ['a cat', 'a dog'], negative: '', guidance: 3, sampler: 'euler-ancestral', steps: 4 },
      ...{ height: 8, width: 8, seeds: [5, 6] },
    };
    const painted = async (more: Partial<PaintOptions>) => {
      const latents = await paintLatents(model, { ...asked, ...more });
      const values = [...(await latents.data())];
      latents.dispose();
      return values;
    };
    const both = await painted({});
    expect(furthest(await painted({ prompts: ['a dog'], seeds: [6] }), both.slice(both.length / 2))).toBeLessThan(1e-4);
    expect(furthest(await painted({ seeds: [5, 7] }), both)).toBeGreaterThan(0.1);
    await expect(painted({ width: 10 })).rejects.toThrow('take sides that are multiples of 4');
    await expect(painted({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
    expect(tf.memory().numTensors).toBe(tensors);
    model.dispose();
  });

  it.each(['sd', 'sdxl'] as const)(
    'by adapters of one structure take one graph for all, each its own numbers, and leave nothing behind: %s',
    async (kind) => {
      const before = tf.memory().numTensors;
      const model = await open(kind);
      const targets = ['unet.attn1.to_q', 'unet.attn2.to_v', 'unet.ff.net_2', 'text.v_proj', ...(kind === 'sdxl' ? ['text_2.q_proj'] : [])]; // prettier-ignore
      const adapters = [3, 4].map((seed) => {
        const adapter = new Adapter(model.sites(), options({ rank: 2, alpha: 4, targets }), seed);
        for (const { role, variable } of adapter.trainables)
          if (role === 'B') tf.tidy(() => variable.assign(tf.randomNormal(variable.shape, 0, 0.5, 'float32', seed)));
        return adapter;
      });
      const asked: PaintOptions = {
        ...{ prompts: ['a cat', 'a dog'], negative: 'a photo', guidance: 3, sampler: 'ddim', steps: 3 },
        ...{ height: 8, width: 8, seeds: [5, 6] },
      };
      const painted = async (more: Partial<PaintOptions>) => {
        const latents = await paintLatents(model, { ...asked, ...more });
        const values = await latents.data();
        latents.dispose();
        return [...values];
      };
      // The same, but by eager code.
      const apart = (adapter: Adapter): Adaptation => ({
        parameters: (block, part) => adapter.parameters(block, part),
        adapts: (part) => adapter.adapts(part),
        apply: (...args) => adapter.apply(...args),
      });
      const expected: number[][] = [];
      for (const adapter of adapters) expected.push(await painted({ adaptation: apart(adapter) }));
      expect(furthest(expected[0]!, expected[1]!)).toBeGreaterThan(0.05);
      const check = async (which: number) =>
        expect(furthest(await painted({ adaptation: adapters[which]! }), expected[which]!)).toBeLessThan(1e-3);
      await check(0);
      const tensors = tf.memory().numTensors;
      const stop = new AbortController();
      const progress = (done: number) => void (done === 2 && stop.abort(new Error('enough')));
      const count = await compilations(async () => {
        await check(1);
        await check(0);
        await expect(painted({ adaptation: adapters[1]!, signal: stop.signal, progress })).rejects.toThrow('enough');
        await check(1);
        // Both at once.
        await Promise.all([check(0), check(1)]);
      });
      expect([count, tf.memory().numTensors]).toEqual([0, tensors]);
      for (const one of [model, ...adapters]) one.dispose();
      expect(tf.memory().numTensors).toBe(before);
    },
  );
});
