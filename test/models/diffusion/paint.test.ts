import fs from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openEngine } from '../../../src-main/engine/index.ts';
import type { SamplerName } from '../../../src-main/models/diffusion/noise/samplers/index.ts';
import { DiffusionModel } from '../../../src-main/models/diffusion/pipeline/model.ts';
import { openDiffusionFolder } from '../../../src-main/models/diffusion/pipeline/open-folder.ts';
import { developed, paintLatents, type PaintOptions } from '../../../src-main/models/diffusion/pipeline/paint.ts';
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
    const options = { ...told, steps: 20, height: 8, width: 16, seeds: [], progress: (step: number) => void done.push(step) }; // prettier-ignore
    const latents = await paintLatents(model, options, start);
    expect(furthest(await latents.data(), told.latents)).toBeLessThan(1e-3);
    expect(done.at(-1)).toBe(20);
    const vae = await model.vae();
    const pictures = await developed(vae, latents);
    expect(pictures.map(({ width, height }) => [width, height])).toEqual(prompts.map(() => [16, 8]));
    // A half of rounding, and a little.
    expect(furthest(pictures.flatMap(({ rgb }) => [...rgb]), told.picture)).toBeLessThan(0.75); // prettier-ignore
    tf.dispose([start, latents]);
    vae.dispose();
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('are the same by their seeds whatever is painted beside them, and refused at sizes the model can’t have', async () => {
    const model = await open('sd');
    const tensors = tf.memory().numTensors;
    const options: PaintOptions = {
      ...{ prompts: ['a cat', 'a dog'], negative: '', guidance: 3, sampler: 'euler-ancestral', steps: 4 },
      ...{ height: 8, width: 8, seeds: [5, 6] },
    };
    const painted = async (more: Partial<PaintOptions>) => {
      const latents = await paintLatents(model, { ...options, ...more });
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
});
