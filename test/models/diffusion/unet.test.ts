import { noSoftwareGpu } from '../../support/software-gpu.ts';
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../../src-main/engine/index.ts';
import { PackedMatrix } from '../../../src-main/engine/packed.ts';
import { stepCompiler } from '../../../src-main/engine/compiler.ts';
import type { EngineName } from '../../../src-main/engine/types.ts';
import { unetConfig } from '../../../src-main/models/diffusion/unet/config.ts';
import { UNet } from '../../../src-main/models/diffusion/unet/unet.ts';
import { asTensors } from '../../../src-main/models/feeds.ts';
import { encodeSafetensors } from '../../../src-main/models/safetensors.ts';
import { largestDifference } from '../support.ts';
import { readAll } from '../vision/support.ts';
import { adapterOf, gradients, inFileForm, predict, type Expected } from './networks.ts';
import { channelsLast } from './support.ts';
import { data, feedsOf, OPTIONS } from './unet-cases.ts';

const KINDS = ['sd1', 'sd2', 'sdxl'];
async function expectGradients(found: Tensor[], names: string[], expected: Expected, prefix: string): Promise<void> {
  for (const [i, name] of names.entries()) {
    const theirs = expected.get(`${prefix}gradient:${name}`)!;
    const isPicture = name === 'sample';
    const ours = tf.tidy(() => inFileForm(name, found[i]!, OPTIONS));
    const values = isPicture ? channelsLast(theirs).values : theirs.values;
    expect(largestDifference(await ours.data(), values), name).toBeLessThan(1e-3);
    ours.dispose();
  }
}

const engines: EngineName[] = ['tensorflow', 'wasm', 'cpu', ...(noSoftwareGpu ? [] : ['webgpu' as const])];

describe.each(engines)('on %s', (engine) => {
  beforeAll(async () => void (await openEngine(engine)));

  // A software GPU takes its time over every further shape: there, one case.
  it.each(engine === 'webgpu' ? [] : KINDS)(
    '%s has the output and the gradients of diffusers, and frees all',
    async (kind) => {
      const before = tf.memory().numTensors;
      const expected = await readAll(path.join(data, kind, 'expected.safetensors'));
      const model = await UNet.load(path.join(data, kind));
      expect(tf.memory().numTensors - before).toBe(model.tensors.size);
      const inputs = asTensors(feedsOf(model, expected));
      const fed = tf.memory().numTensors;
      const out = predict(model, inputs);
      expect(tf.memory().numTensors - fed).toBe(1);
      expect(largestDifference(await out.data(), channelsLast(expected.get('out')!).values)).toBeLessThan(1e-4);
      out.dispose();

      const names = [...expected.keys()].filter((key) => /^gradient:.*weight$/.test(key)).map((key) => key.slice(9));
      const weights = names.map((name) => model.tensors.get(name) as Tensor);
      expect(weights.length).toBeGreaterThan(3);
      const found = gradients(model, inputs, weights);
      await expectGradients(found, ['sample', 'context', ...names], expected, '');
      tf.dispose([found, inputs]);
      model.dispose();
      expect(tf.memory().numTensors).toBe(before);
    },
  );

  it.each(engine === 'webgpu' ? ['sd2'] : KINDS)(
    '%s learns with EffiLoRA as the method has it, run again in backward, too',
    async (kind) => {
      const before = tf.memory().numTensors;
      const expected = await readAll(path.join(data, kind, 'expected.safetensors'));
      const model = await UNet.load(path.join(data, kind));
      const { adapter, learned } = adapterOf(model, OPTIONS, expected);
      const inputs = asTensors(feedsOf(model, expected));
      const out = predict(model, inputs, { adaptation: adapter });
      expect(largestDifference(await out.data(), channelsLast(expected.get('adapted:out')!).values)).toBeLessThan(1e-4);
      out.dispose();
      const variables = adapter.trainables.map(({ variable }) => variable);
      for (const recompute of engine === 'tensorflow' ? [false, true] : [true]) {
        const found = gradients(model, inputs, variables, { adaptation: adapter, recompute });
        await expectGradients(found, ['sample', 'context', ...learned], expected, 'adapted:');
        tf.dispose(found);
      }
      tf.dispose(inputs);
      adapter.dispose();
      model.dispose();
      expect(tf.memory().numTensors).toBe(before);
    },
  );
});

it.each(KINDS)('%s can be compiled into a step, its gradients, too', async (kind) => {
  await openEngine('tensorflow');
  const expected = await readAll(path.join(data, kind, 'expected.safetensors'));
  const model = await UNet.load(path.join(data, kind));
  const { adapter, learned } = adapterOf(model, OPTIONS, expected);
  const feeds = feedsOf(model, expected);
  const inputs = asTensors(feeds);
  const variables = adapter.trainables.map(({ variable }) => variable);
  const step = await stepCompiler()!.compile({
    feeds: Object.values(inputs),
    state: variables,
    precision: 'f32',
    step: () => {
      const pass = { adaptation: adapter };
      return {
        outputs: [predict(model, inputs, pass), ...gradients(model, inputs, variables, pass)],
        updates: variables.map(() => undefined),
      };
    },
  });
  const [out, ...found] = await step.run(Object.values(feeds).map(({ values }) => values));
  expect(largestDifference(out!, channelsLast(expected.get('adapted:out')!).values)).toBeLessThan(1e-4);
  const shapes = [inputs['sample']!, inputs['context']!, ...variables].map(({ shape }) => shape);
  const tensors = found.map((values, i) => tf.tensor(values, shapes[i]));
  await expectGradients(tensors, ['sample', 'context', ...learned], expected, 'adapted:');
  tf.dispose([tensors, inputs]);
  adapter.dispose();
  model.dispose();
});

it.each([
  ['sd1', 'F16'],
  ['sd2', 'BF16'],
])('%s in %s stays so where that is asked for, and learns as in f32', async (kind) => {
  await openEngine('tensorflow');
  const before = tf.memory().numTensors;
  const expected = await readAll(path.join(data, kind, 'expected.safetensors'));
  const model = await UNet.load(path.join(data, kind), 'auto');
  const packed = [...model.tensors].filter(([, tensor]) => tensor instanceof PackedMatrix).map(([name]) => name);
  // Filters of a few channels are left to the engine.
  const matrices = model.sites().filter(({ kernel = 1, inFeatures }) => kernel === 1 || inFeatures / kernel ** 2 >= 16);
  expect(packed.sort()).toEqual(matrices.map((site) => `${site.path}.weight`).sort());
  const { adapter, learned } = adapterOf(model, OPTIONS, expected);
  const inputs = asTensors(feedsOf(model, expected));
  const pass = { adaptation: adapter };
  const out = predict(model, inputs, pass);
  expect(largestDifference(await out.data(), channelsLast(expected.get('adapted:out')!).values)).toBeLessThan(1e-4);
  const variables = adapter.trainables.map(({ variable }) => variable);
  const found = gradients(model, inputs, variables, pass);
  await expectGradients(found, ['sample', 'context', ...learned], expected, 'adapted:');
  const whole = await UNet.load(path.join(data, kind));
  for (const site of model.sites().filter((_, i) => i % 5 === 0)) {
    const [ours, theirs] = [model.siteWeight(site), whole.siteWeight(site)];
    expect(await ours.data()).toEqual(await theirs.data());
    tf.dispose([ours, theirs]);
  }
  tf.dispose([out, found, inputs]);
  adapter.dispose();
  model.dispose();
  whole.dispose();
  expect(tf.memory().numTensors).toBe(before);
});

describe('a UNet', () => {
  beforeAll(async () => void (await openEngine('cpu')));
  const configOf = (kind: string) =>
    JSON.parse(fs.readFileSync(path.join(data, kind, 'config.json'), 'utf8')) as Record<string, unknown>;

  it('names its sites by block, down, mid, up, and gives their weights', async () => {
    const model = await UNet.load(path.join(data, 'sdxl'));
    const file = await readAll(path.join(data, 'sdxl/diffusion_pytorch_model.safetensors'));
    const sites = model.sites();
    const blocks = sites.filter(({ site }) => site === 'unet.attn2.to_k').map(({ path, block }) => `${block} ${path}`);
    expect(blocks).toEqual([
      '0 down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k',
      '1 down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k',
      '2 mid_block.attentions.0.transformer_blocks.0.attn2.to_k',
      '3 mid_block.attentions.0.transformer_blocks.1.attn2.to_k',
      '4 up_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k',
      '5 up_blocks.0.attentions.0.transformer_blocks.1.attn2.to_k',
      '6 up_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k',
      '7 up_blocks.0.attentions.1.transformer_blocks.1.attn2.to_k',
    ]);
    expect(new Set(sites.map(({ block, site }) => `${block}.${site}`)).size).toBe(sites.length);
    expect(sites.filter(({ reads }) => reads === 'context').map(({ inFeatures }) => inFeatures)).toEqual(Array(16).fill(12)); // prettier-ignore
    for (const site of sites.slice(0, 14)) {
      const weight = model.siteWeight(site);
      expect(weight.shape).toEqual([site.inFeatures, site.outFeatures]);
      const turned = tf.tidy(() => tf.transpose(weight));
      expect(await turned.data()).toEqual(file.get(`${site.path}.weight`)!.values);
      tf.dispose([weight, turned]);
    }
    model.dispose();
  });

  it.each([
    [{ down_block_types: ['SimpleCrossAttnDownBlock2D', 'DownBlock2D'] }, '"down_block_types" is "SimpleCrossAttnDownBlock2D"'], // prettier-ignore
    [{ down_block_types: ['DownBlock2D'] }, '"down_block_types" has 1 entries for 2 levels'],
    [{ mid_block_type: 'UNetMidBlock2D' }, '"mid_block_type" is "UNetMidBlock2D", which is not supported; supported is "UNetMidBlock2DCrossAttn"'], // prettier-ignore
    [{ class_embed_type: 'timestep' }, '"class_embed_type" is "timestep"'],
    [{ addition_embed_type: 'image' }, '"addition_embed_type" is "image"'],
    [{ addition_embed_type: 'text_time' }, '"addition_time_embed_dim"'],
    [{ newly_invented: 3 }, 'here/config.json: "newly_invented" is 3, which is not supported'],
    [{ cross_attention_dim: [12, 16] }, '"cross_attention_dim" is [12,16]'],
    [{ attention_head_dim: 3 }, '3 heads'],
    [{ norm_num_groups: 5 }, '"norm_num_groups" 5'],
    [{ block_out_channels: [1e9, 16] }, '"block_out_channels.0"'],
  ])('of another kind is refused by file, field and value: %j', (change, what) => {
    expect(() => unetConfig({ ...configOf('sd1'), ...change }, 'here/config.json')).toThrow(what);
  });

  const toQ = 'mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight';
  it.each([
    ['a tensor that is missing', {}, (name: string) => (name === toQ ? undefined : name), `"${toQ}" is missing`],
    ['a tensor that is too many', {}, (name: string) => (name === toQ ? [name, 'mid_block.extra'] : name), 'holds "mid_block.extra"'], // prettier-ignore
    ['other widths', { cross_attention_dim: 16 }, (name: string) => name, 'is 8 x 12 where 8 x 16 is needed'],
  ])('with %s is refused, and nothing is left', async (_, change, rename, what) => {
    const before = tf.memory().numTensors;
    const folder = await fsp.mkdtemp(path.join(os.tmpdir(), 'unet-'));
    fs.writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ ...configOf('sd1'), ...change }));
    const all = [...(await readAll(path.join(data, 'sd1/diffusion_pytorch_model.safetensors')))];
    const tensors = all.flatMap(([name, { shape, values }]) =>
      [rename(name) ?? []].flat().map((to) => ({ name: to, dtype: 'F32' as const, shape, data: values })),
    );
    fs.writeFileSync(path.join(folder, 'diffusion_pytorch_model.safetensors'), encodeSafetensors(tensors));
    await expect(UNet.load(folder)).rejects.toThrow(what);
    expect(tf.memory().numTensors).toBe(before);
    await fsp.rm(folder, { recursive: true });
  });

  it('refuses latents that it can not halve, or of other channels', async () => {
    const model = await UNet.load(path.join(data, 'sd1'));
    const inputs = asTensors(feedsOf(model, await readAll(path.join(data, 'sd1/expected.safetensors'))));
    const sized =
      (...shape: [number, number, number, number]) =>
      () =>
        predict(model, { ...inputs, sample: tf.zeros(shape) });
    expect(sized(2, 8, 7, 4)).toThrow('Latents of 7 x 8');
    expect(sized(2, 8, 8, 9)).toThrow('Latents have 9 channels');
    tf.dispose(inputs);
    model.dispose();
  });
});
