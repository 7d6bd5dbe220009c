import fs from 'node:fs';
import fsp from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Adapter } from '../../../src-main/effilora/adapter.ts';
import { openEngine } from '../../../src-main/engine/index.ts';
import { DiffusionModel } from '../../../src-main/models/diffusion/pipeline/model.ts';
import { isDiffusionFolder, openDiffusionFolder } from '../../../src-main/models/diffusion/pipeline/open-folder.ts';
import type { UNetInputs } from '../../../src-main/models/diffusion/unet/unet.ts';
import { asTensors } from '../../../src-main/models/feeds.ts';
import type { TrainableModel } from '../../../src-main/tasks/task.ts';
import { largestDifference } from '../support.ts';
import { readAll } from '../vision/support.ts';
import { channelsLast } from './support.ts';

/** Tiny random pipelines with what diffusers makes of texts and of one step (data/diffusion/make_pipelines.py). */
const data = path.join(import.meta.dirname, '../data/diffusion');
const PROMPTS = ['a photo of a cat', ''];
const folders: string[] = [];

/** A pipeline with its tokenizers, which lie elsewhere once for all. */
async function whole(kind: string): Promise<string> {
  const folder = await fsp.mkdtemp(path.join(os.tmpdir(), 'pipeline-'));
  folders.push(folder);
  await fsp.cp(path.join(data, 'pipelines', kind), folder, { recursive: true });
  await fsp.cp(path.join(data, 'tokenizers/sd'), path.join(folder, 'tokenizer'), { recursive: true });
  if (kind === 'sdxl') await fsp.cp(path.join(data, 'tokenizers/sdxl'), path.join(folder, 'tokenizer_2'), { recursive: true }); // prettier-ignore
  return folder;
}

beforeAll(async () => void (await openEngine('tensorflow')));
afterEach(async () => {
  for (const folder of folders.splice(0)) await fsp.rm(folder, { recursive: true });
});

describe.each(['sd', 'sdxl'] as const)('a pipeline of %s', (kind) => {
  it('gives what diffusers gives of texts, noisy latents and latents, and frees all', async () => {
    const before = tf.memory().numTensors;
    const folder = await whole(kind);
    expect(isDiffusionFolder(folder)).toBe(true);
    const file = await openDiffusionFolder(folder);
    expect([file.kind, file.noise.kind, 'isEmptyZero' in file && file.isEmptyZero]).toEqual([
      kind,
      'variance',
      kind === 'sdxl',
    ]);
    expect(file.byteLength).toBe(
      ['unet', 'vae', 'text_encoder', 'text_encoder_2']
        .flatMap((part) =>
          ['model', 'diffusion_pytorch_model'].map((name) => path.join(folder, part, `${name}.safetensors`)),
        ) // prettier-ignore
        .reduce((sum, each) => sum + (fs.existsSync(each) ? fs.statSync(each).size : 0), 0),
    );
    const model = await DiffusionModel.load(file);
    const expected = await readAll(path.join(folder, 'expected.safetensors'));
    const near = async (ours: tf.Tensor, theirs: ArrayLike<number>) =>
      expect(largestDifference(await ours.data(), theirs)).toBeLessThan(1e-4);

    const { feeds, left } = model.texts.feeds(PROMPTS);
    expect(left).toEqual([undefined, undefined]);
    const texts = asTensors(feeds);
    const { context, pooled } = model.texts.features(texts);
    await near(context, expected.get('context')!.values);
    if (kind === 'sdxl') await near(pooled!, expected.get('pooled')!.values);
    else expect(pooled).toBeUndefined();

    const { values, shape } = channelsLast(expected.get('sample')!);
    const sample = tf.tensor4d(values, shape);
    const sizes = expected.get('sizes')!.values;
    const told = asTensors({
      ...model.network.timeFeeds([3, 801]),
      ...model.network.sizeFeeds([[...sizes.slice(0, 6)], [...sizes.slice(6)]]),
    });
    const out = model.network.predict(sample, { ...told, context, pooled } as object as UNetInputs);
    await near(out, channelsLast(expected.get('out')!).values);
    const vae = await model.vae();
    const picture = vae.decode(out);
    await near(picture, channelsLast(expected.get('picture')!).values);
    tf.dispose([texts, told, context, pooled ?? [], sample, out, picture]);
    vae.dispose();
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('is what adapters are trained on, its text encoders, too', async () => {
    const model = await DiffusionModel.load(await openDiffusionFolder(await whole(kind)));
    const trainable: TrainableModel = model;
    const sites = trainable.sites();
    expect([...new Set(sites.map(({ group }) => group))]).toEqual(['unet', 'text', ...(kind === 'sdxl' ? ['text_2'] : [])]); // prettier-ignore
    expect(new Set(sites.map(({ site, block }) => `${block}.${site}`)).size).toBe(sites.length);
    for (const site of sites) {
      const weight = trainable.siteWeight(site);
      expect(weight.shape).toEqual([site.inFeatures, site.outFeatures]);
      weight.dispose();
    }
    const targets = ['text.q_proj', 'text.fc2', 'unet.attn2.to_v', ...(kind === 'sdxl' ? ['text_2.v_proj'] : [])];
    const adapter = new Adapter(
      sites,
      {
        ...{ name: 'effilora', rank: 2, heads: 2, alpha: 2, targets },
        ...{ share: 'global', router: 'site', dropout: 0, rsLora: false, dora: false },
      },
      1,
    );
    const texts = asTensors(model.texts.feeds(PROMPTS).feeds);
    const sample = tf.randomNormal([2, 4, 4, 4], 0, 1, 'float32', 7) as Tensor4D;
    const told = asTensors({
      ...model.network.timeFeeds([3, 801]),
      ...model.network.sizeFeeds([Array<number>(6).fill(8), Array<number>(6).fill(8)]),
    });
    const variables = adapter.trainables.filter(({ role }) => role === 'B').map(({ variable }) => variable);
    // Through the UNet into the text encoder; the same where blocks are run again.
    const gradients = [false, true].map((recompute) =>
      tf.tidy(() =>
        tf.grads(() => {
          const pass = { adaptation: adapter, recompute };
          const inputs = { ...told, ...model.texts.features(texts, pass) } as object as UNetInputs;
          return tf.sum(tf.square(model.network.predict(sample, inputs, pass)));
        })(variables),
      ),
    );
    for (const [i, gradient] of gradients[0]!.entries()) {
      const values = (await gradient.data()) as Float32Array;
      expect(values.some((value) => value !== 0)).toBe(true);
      expect(largestDifference(await gradients[1]![i]!.data(), values)).toBeLessThan(1e-4);
    }
    tf.dispose([gradients, texts, told, sample]);
    adapter.dispose();
    model.dispose();
  });

  it('is another one by its hash when one of its parts is', async () => {
    const folder = await whole(kind);
    const hash = async () => (await openDiffusionFolder(folder)).sha256();
    const hashes = [await hash()];
    for (const part of ['unet/diffusion_pytorch_model', 'text_encoder/model', 'vae/diffusion_pytorch_model']) {
      const place = path.join(folder, `${part}.safetensors`);
      const bytes = await fsp.readFile(place);
      bytes[bytes.length - 1]! ^= 1;
      await fsp.writeFile(place, bytes);
      hashes.push(await hash());
    }
    expect(new Set(hashes).size).toBe(4);
  });
});

describe('a folder', () => {
  type Json = Record<string, unknown>;
  const change = (file: string, changed: Json) =>
    fs.writeFileSync(file, JSON.stringify({ ...(JSON.parse(fs.readFileSync(file, 'utf8')) as Json), ...changed }));

  it.each<[string, string, Json, string]>([
    ['sd', 'model_index.json', { _class_name: 'FluxPipeline' }, '"_class_name" is "FluxPipeline", which is not supported; supported is "StableDiffusionPipeline"'], // prettier-ignore
    ['sd', 'model_index.json', { _class_name: 'StableDiffusionXLPipeline' }, '"text_encoder_2" is null'],
    ['sd', 'model_index.json', { vae: ['diffusers', 'AutoencoderTiny'] }, '"vae" is ["diffusers","AutoencoderTiny"]'],
    ['sd', 'text_encoder/config.json', { hidden_size: 6 }, 'its texts have 6 features a token, and its UNet takes 4'],
    ['sd', 'unet/config.json', { in_channels: 9 }, 'latents have 4 channels, and its UNet takes 9'],
    ['sd', 'unet/config.json', { out_channels: 8 }, 'takes 4 channels and gives 8'],
    ['sdxl', 'unet/config.json', { addition_embed_type: null }, '"addition_embed_type"'],
    ['sdxl', 'unet/config.json', { addition_time_embed_dim: 8 }, 'have 54 features, and its UNet takes 30'],
    ['sdxl', 'tokenizer_2/tokenizer_config.json', { model_max_length: 8 }, 'texts of 12 and 8 tokens'],
  ])('of %s whose %s says %j is refused by name', async (kind, file, changed, what) => {
    const folder = await whole(kind);
    change(path.join(folder, file), changed);
    await expect(openDiffusionFolder(folder)).rejects.toThrow(what);
  });

  it('without weights says what it may hold instead', async () => {
    const folder = await whole('sd');
    const unet = path.join(folder, 'unet');
    await fsp.rename(path.join(unet, 'diffusion_pytorch_model.safetensors'), path.join(unet, 'diffusion_pytorch_model.bin')); // prettier-ignore
    await expect(openDiffusionFolder(folder)).rejects.toThrow(/no diffusion_pytorch_model.safetensors.*is a pickle/);
    await fsp.copyFile(path.join(data, 'pipelines/sd/unet/diffusion_pytorch_model.safetensors'), path.join(unet, 'diffusion_pytorch_model.fp16.safetensors')); // prettier-ignore
    expect((await openDiffusionFolder(folder)).tensors.unet).not.toHaveLength(0);
  });
});
