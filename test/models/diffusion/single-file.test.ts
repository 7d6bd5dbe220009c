import fs from 'node:fs';
import fsp from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { openEngine } from '../../../src-main/engine/index.ts';
import { PackedMatrix } from '../../../src-main/engine/packed.ts';
import { shapesOf } from '../../../src-main/models/diffusion/loader.ts';
import { PARTS } from '../../../src-main/models/diffusion/pipeline/file.ts';
import { DiffusionModel } from '../../../src-main/models/diffusion/pipeline/model.ts';
import { unetNames, vaeNames } from '../../../src-main/models/diffusion/single/names.ts';
import { openSingleFile } from '../../../src-main/models/diffusion/single/open.ts';
import { Shapes, unetOfShapes, vaeOfShapes } from '../../../src-main/models/diffusion/single/shapes.ts';
import { openPart } from '../../../src-main/models/diffusion/source.ts';
import { ClipTokenizer } from '../../../src-main/models/diffusion/text/tokenizer.ts';
import { textName } from '../../../src-main/models/diffusion/text/weights.ts';
import { unetConfig } from '../../../src-main/models/diffusion/unet/config.ts';
import { unetLayout } from '../../../src-main/models/diffusion/unet/layout.ts';
import { loadUNet } from '../../../src-main/models/diffusion/unet/weights.ts';
import { vaeConfig } from '../../../src-main/models/diffusion/vae/config.ts';
import { loadVae } from '../../../src-main/models/diffusion/vae/vae.ts';
import type { SafetensorsEntry } from '../../../src-main/models/safetensors.ts';
import { encodeSafetensors } from '../../../src-main/models/safetensors.ts';

/** The tiny pipelines as single files, which diffusers converts back (data/diffusion/make_singles.py). */
const data = path.join(import.meta.dirname, '../data/diffusion');
const single = (kind: string) => path.join(data, 'singles', `${kind}.safetensors`);
const FOLDERS = {
  unet: 'unet',
  transformer: 'transformer',
  vae: 'vae',
  text: 'text_encoder',
  text_2: 'text_encoder_2',
};

it.each([
  ['sd1', 'sd', ['unet', 'vae', 'text'], 'epsilon'],
  ['sd2', 'sd', ['unet', 'vae', 'text'], 'v_prediction'],
  ['sdxl', 'sdxl', ['unet', 'vae', 'text', 'text_2'], 'epsilon'],
])('a file of %s holds the tensors of the folder', async (kind, folder, parts, prediction) => {
  const file = await openSingleFile(single(kind));
  expect([file.kind, file.name, file.noise.prediction]).toEqual([folder, kind, prediction]);
  expect(file.byteLength).toBe(fs.statSync(single(kind)).size);
  expect(PARTS.filter((part) => file.tensors[part])).toEqual(parts);
  for (const part of PARTS.filter((each) => file.tensors[each])) {
    const place = path.join(data, 'pipelines', folder, FOLDERS[part]);
    const [ours, theirs] = [await file.source(part), await openPart(place, part.startsWith('text') ? textName : undefined)]; // prettier-ignore
    expect(ours.infos.map(({ name }) => name).sort()).toEqual(theirs.infos.map(({ name }) => name).sort());
    for (const { name } of theirs.infos)
      expect([name, await ours.find(name)!.read()]).toEqual([name, await theirs.find(name)!.read()]);
    await ours.close();
    await theirs.close();
  }
});

it('is loaded as a model, in half precision where that is asked for, and nothing is left of it', async () => {
  await openEngine('tensorflow');
  const before = tf.memory().numTensors;
  const file = await openSingleFile(single('sdxl'));
  const [model, half] = [await DiffusionModel.load(file), await DiffusionModel.load(file, 'auto')];
  const vae = await model.vae();
  // Of the second text encoder q, k and v lie in one matrix.
  expect(model.sites().map(({ site }) => site)).toContain('text_2.k_proj');
  expect(half.matrices.filter((matrix) => matrix instanceof PackedMatrix).length).toBeGreaterThan(model.sites().filter(({ kind }) => kind === 'linear').length); // prettier-ignore
  for (const site of model.sites()) {
    const [ours, theirs] = [half.siteWeight(site), model.siteWeight(site)];
    expect([site.path, await ours.data()]).toEqual([site.path, await theirs.data()]);
    tf.dispose([ours, theirs]);
  }
  vae.dispose();
  half.dispose();
  model.dispose();
  expect(tf.memory().numTensors).toBe(before);
});

const UNETS = {
  'Stable Diffusion 1.5': { cross_attention_dim: 768, attention_head_dim: 8, sample_size: 64 },
  'Stable Diffusion 2.1': { cross_attention_dim: 1024, attention_head_dim: [5, 10, 20, 20], use_linear_projection: true, sample_size: 64 }, // prettier-ignore
  'Stable Diffusion XL': {
    ...{ block_out_channels: [320, 640, 1280], cross_attention_dim: 2048, attention_head_dim: [5, 10, 20] },
    ...{ transformer_layers_per_block: [1, 2, 10], use_linear_projection: true, sample_size: 128 },
    ...{ down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'] },
    ...{ up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'] },
    ...{ addition_embed_type: 'text_time', addition_time_embed_dim: 256, projection_class_embeddings_input_dim: 2816 },
  },
};

/** A header with these tensors under other names. */
const header = (shapes: Map<string, number[]>, nameOf: (name: string) => string, isLinear = false) =>
  new Map(
    [...shapes].map(([name, shape]) => {
      const isConvolution = !isLinear && /proj_(in|out)\.weight$/.test(name);
      return [nameOf(name), { shape: isConvolution ? [...shape, 1, 1] : shape } as SafetensorsEntry];
    }),
  );

describe.each(Object.entries(UNETS))('%s', (name, json) => {
  it('is known by its shapes', async () => {
    const config = unetConfig(json, name);
    const layout = unetLayout(config);
    const shapes = await shapesOf((loader) => loadUNet(config, layout, loader));
    const own = header(shapes, unetNames(layout), 'use_linear_projection' in json);
    expect(own.size).toBe(shapes.size);
    const found = unetOfShapes(new Shapes(own, 'here', ''), name.endsWith('XL') ? 1280 : 0);
    // What no attention is there for says nothing.
    const told = ({ depth, heads, ...rest }: { depth: number; heads: number }) => (depth ? { depth, heads, ...rest } : { depth, ...rest }); // prettier-ignore
    const all = ({ down, up, ...rest }: typeof config) => ({ ...rest, down: down.map(told), up: up.map(told) });
    expect(all(found)).toEqual(all(config));
  });
});

it('an autoencoder is known by its shapes', async () => {
  const types = (kind: string) => Array<string>(4).fill(kind);
  const config = vaeConfig(
    {
      ...{ down_block_types: types('DownEncoderBlock2D'), up_block_types: types('UpDecoderBlock2D') },
      ...{ block_out_channels: [128, 256, 512, 512], layers_per_block: 2, scaling_factor: 0.13025 },
    },
    'here',
  );
  const shapes = await shapesOf((loader) => loadVae(config, loader));
  const own = header(shapes, vaeNames(4), true);
  expect(own.size).toBe(shapes.size);
  expect(vaeOfShapes(new Shapes(own, 'here', ''), 'sdxl')).toEqual(config);
});

it('texts are read with CLIP’s own vocabulary', async () => {
  const tokenizer = await ClipTokenizer.standard(77, '!');
  // transformers' CLIPTokenizer with OpenAI's vocabulary.
  const { ids, used } = tokenizer.encode('a photo of an astronaut riding a horse on mars');
  expect([...ids.slice(0, used)]).toEqual([49406, 320, 1125, 539, 550, 18376, 6765, 320, 4558, 525, 7496, 49407]);
  expect([...ids.slice(used)]).toEqual(Array(65).fill(0));
  expect(tokenizer.tokenizer.vocabularySize).toBe(49408);
});

describe('a file', () => {
  const changed = async (change: (name: string) => string | undefined): Promise<string> => {
    const place = path.join(await fsp.mkdtemp(path.join(os.tmpdir(), 'single-')), 'model.safetensors');
    const tensors = [...(await readSome('sd1'))].flatMap(([name, { shape, values }]) => {
      // prettier-ignore
      const own = change(name);
      return own === undefined ? [] : [{ name: own, dtype: 'F32' as const, shape, data: values }];
    });
    fs.writeFileSync(place, encodeSafetensors(tensors));
    return place;
  };
  /** Without the counted positions, which are whole numbers. */
  async function readSome(kind: string) {
    const all = new Map<string, { shape: number[]; values: Float32Array }>();
    const file = await openSingleFile(single(kind));
    for (const part of ['unet', 'vae', 'text'] as const) {
      const source = await file.source(part);
      for (const { name, shape } of source.infos) {
        const found = source.find(name)!;
        all.set(found.shown, { shape, values: await found.read() });
      }
      await source.close();
    }
    return all;
  }

  it.each<[string, (name: string) => string | undefined, string]>([
    ['a tensor that is too many', (name) => name.replace('middle_block.1.norm.bias', 'middle_block.1.norm.more'), 'holds "model.diffusion_model.middle_block.1.norm.more"'], // prettier-ignore
    ['no text encoder', (name) => (name.startsWith('cond_stage_model.') ? undefined : name), 'has no text encoder'],
    ['an adapter alone', (name) => `lora_${name}`, 'is no whole model of Stable Diffusion 1, 2 or XL; is it a LoRA'],
    ['no autoencoder', (name) => (name.startsWith('first_stage') ? undefined : name), 'holds no "first_stage_model.'],
  ])('with %s is refused by name', async (_, change, what) => {
    const place = await changed(change);
    await expect(openSingleFile(place)).rejects.toThrow(what);
    await fsp.rm(path.dirname(place), { recursive: true });
  });
});
