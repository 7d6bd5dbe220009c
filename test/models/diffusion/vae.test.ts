import fs from 'node:fs';
import fsp from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../../src-main/engine/index.ts';
import { stepCompiler } from '../../../src-main/engine/compiler.ts';
import type { EngineName } from '../../../src-main/engine/types.ts';
import { vaeConfig } from '../../../src-main/models/diffusion/vae/config.ts';
import { Vae } from '../../../src-main/models/diffusion/vae/vae.ts';
import { encodeSafetensors } from '../../../src-main/models/safetensors.ts';
import { largestDifference } from '../support.ts';
import { readAll } from '../vision/support.ts';
import { channelsLast } from './support.ts';

/** Tiny random autoencoders with what diffusers makes of pictures and latents (data/diffusion/make_vaes.py). */
const data = path.join(import.meta.dirname, '../data/diffusion/vaes');
const KINDS = ['sd', 'shifted'];
const NAMES = ['pictures', 'noise', 'direction'] as const;

async function open(kind: string) {
  const expected = await readAll(path.join(data, kind, 'expected.safetensors'));
  const valuesOf = (name: string) => channelsLast(expected.get(name)!);
  return { valuesOf, vae: await Vae.load(path.join(data, kind)) };
}

/** There and back, along a direction: what the case's gradient is of. */
const total = (vae: Vae, pictures: Tensor4D, noise: Tensor4D, direction: Tensor4D) =>
  tf.sum(tf.mul(vae.decode(vae.encode(pictures, noise)), direction));

describe.each<EngineName>(['tensorflow', 'wasm', 'cpu'])('on %s', (engine) => {
  beforeAll(async () => void (await openEngine(engine)));

  it.each(KINDS)('%s makes the latents and pictures of diffusers, and frees all', async (kind) => {
    const before = tf.memory().numTensors;
    const { vae, valuesOf } = await open(kind);
    const [pictures, noise, direction] = NAMES.map((name) => {
      const { values, shape } = valuesOf(name);
      return tf.tensor(values, shape);
    }) as [Tensor4D, Tensor4D, Tensor4D];
    const fed = tf.memory().numTensors;
    expect(fed - before).toBe(vae.tensors.size + 3);
    const latents = vae.encode(pictures, noise);
    const made: Record<string, Tensor> = { ...vae.moments(pictures), latents, decoded: vae.decode(latents) };
    expect(tf.memory().numTensors - fed).toBe(4);
    made['gradient'] = tf.grad((x: Tensor) => total(vae, x as Tensor4D, noise, direction))(pictures);
    for (const [name, values] of Object.entries(made))
      expect(largestDifference(await values.data(), valuesOf(name).values), name).toBeLessThan(1e-4);
    const plain = vae.encode(pictures);
    const mean = tf.tidy(() => tf.mul(tf.sub(made['mean']!, vae.config.shift), vae.config.scale));
    expect(await plain.data()).toEqual(await mean.data());
    tf.dispose([made, pictures, noise, direction, plain, mean]);
    vae.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

it('can be compiled into a step', async () => {
  await openEngine('tensorflow');
  const { vae, valuesOf } = await open('sd');
  const feeds = NAMES.map((name) => valuesOf(name));
  const inputs = feeds.map(({ values, shape }) => tf.tensor(values, shape)) as [Tensor4D, Tensor4D, Tensor4D];
  const step = await stepCompiler()!.compile({
    feeds: inputs,
    state: [],
    precision: 'f32',
    step: () => {
      const [pictures, noise, direction] = inputs;
      const gradient = tf.grad((x: Tensor) => total(vae, x as Tensor4D, noise, direction))(pictures);
      return { outputs: [vae.decode(vae.encode(pictures, noise)), gradient], updates: [] };
    },
  });
  const [decoded, gradient] = await step.run(feeds.map(({ values }) => values));
  expect(largestDifference(decoded!, valuesOf('decoded').values)).toBeLessThan(1e-4);
  expect(largestDifference(gradient!, valuesOf('gradient').values)).toBeLessThan(1e-4);
  tf.dispose(inputs);
  vae.dispose();
});

it('is read under the names and in the shapes that older files have', async () => {
  await openEngine('cpu');
  const folder = await fsp.mkdtemp(path.join(os.tmpdir(), 'vae-'));
  await fsp.copyFile(path.join(data, 'sd/config.json'), path.join(folder, 'config.json'));
  const older = (name: string) =>
    name.replace(/\.to_(q|k|v)\./, (_, own: 'q' | 'k' | 'v') => `.${{ q: 'query', k: 'key', v: 'value' }[own]}.`).replace('.to_out.0.', '.proj_attn.'); // prettier-ignore
  const tensors = [...(await readAll(path.join(data, 'sd/diffusion_pytorch_model.safetensors')))].map(
    ([name, { shape, values }]) => {
      const isLinear = name.includes('attentions') && shape.length === 2;
      return { name: older(name), dtype: 'F32' as const, shape: isLinear ? [...shape, 1, 1] : shape, data: values };
    },
  );
  expect(tensors.map(({ name }) => name)).toContain('decoder.mid_block.attentions.0.query.weight');
  fs.writeFileSync(path.join(folder, 'diffusion_pytorch_model.safetensors'), encodeSafetensors(tensors));
  const [older_, now] = [await Vae.load(folder), await Vae.load(path.join(data, 'sd'))];
  expect([...older_.tensors.keys()]).toEqual([...now.tensors.keys()]);
  for (const [name, values] of now.tensors)
    expect(await (older_.tensors.get(name) as Tensor).data()).toEqual(await (values as Tensor).data());
  older_.dispose();
  now.dispose();
  await fsp.rm(folder, { recursive: true });
});

it('refuses pictures that have no whole latents', async () => {
  await openEngine('cpu');
  const { vae } = await open('sd');
  expect(vae.factor).toBe(4);
  expect(() => vae.encode(tf.zeros([1, 8, 10, 3]))).toThrow('A picture of 10 x 8');
  vae.dispose();
});

it.each([
  [{ down_block_types: ['DownEncoderBlock2D', 'AttnDownEncoderBlock2D', 'DownEncoderBlock2D'] }, '"down_block_types" is "AttnDownEncoderBlock2D"'], // prettier-ignore
  [{ up_block_types: ['UpDecoderBlock2D'] }, '"up_block_types" has 1 entries for 3 levels'],
  [{ act_fn: 'mish' }, '"act_fn" is "mish", which is not supported; supported is "silu", "swish"'],
  [{ latents_mean: [1, 2, 3, 4] }, '"latents_mean" is [1,2,3,4]'],
  [{ norm_num_groups: 3 }, '"norm_num_groups" 3'],
])('of another kind is refused by file, field and value: %j', (change, what) => {
  const config = JSON.parse(fs.readFileSync(path.join(data, 'sd/config.json'), 'utf8')) as object;
  expect(() => vaeConfig({ ...config, ...change }, 'here/config.json')).toThrow(what);
});
