import { noSoftwareGpu } from '../../support/software-gpu.ts';
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../../src-main/engine/index.ts';
import type { EngineName } from '../../../src-main/engine/types.ts';
import { stepCompiler } from '../../../src-main/engine/compiler.ts';
import type { Feeds } from '../../../src-main/models/feeds.ts';
import { PackedMatrix } from '../../../src-main/engine/packed.ts';
import { HALF, toBfloat, toHalf, widenBfloat } from '../../../src-main/models/floats.ts';
import { encodeSafetensors, type SafetensorsTensor } from '../../../src-main/models/safetensors.ts';
import { lookOf, type LookedPicture } from '../../../src-main/models/vision/look.ts';
import { connectorTensors, seeingSites } from '../../../src-main/models/vision/towers/sites.ts';
import { visionConfig } from '../../../src-main/models/vision/towers/config.ts';
import { VisionModel } from '../../../src-main/models/vision/towers/vision-model.ts';
import type { PatchGrid } from '../../../src-main/models/vision/towers/windows.ts';
import { largestDifference } from '../support.ts';
import { patchesOf, readAll } from './support.ts';

/** What sees of tiny random models, with transformers' features and gradients (data/vision/make_towers.py). */
const data = path.join(import.meta.dirname, '../data/vision/towers');
const TILES: PatchGrid[] = [0, 1].map(() => ({ rows: 4, columns: 4 }));
const GRIDS: Record<string, PatchGrid[]> = {
  ...{ idefics3: TILES, llava: TILES, gemma3: TILES },
  'qwen2.5-vl': [{ rows: 6, columns: 10 }, { rows: 4, columns: 4 }], // prettier-ignore
};

/** A tensor's name in the model that transformers made, in ours. */
const ours = (name: string) =>
  name
    .replace(/^model\.(vision_tower|vision_model|visual)\./, 'tower.')
    .replace(/^model\.(multi_modal_projector|connector)\./, 'connector.');

const tensorsOf = (feeds: Feeds) =>
  Object.fromEntries(
    Object.entries(feeds).map(([key, { values, shape }]) => [
      key,
      tf.tensor(values, shape, values instanceof Int32Array ? 'int32' : 'float32'),
    ]),
  );

const engines: EngineName[] = ['tensorflow', 'wasm', 'cpu', ...(noSoftwareGpu ? [] : ['webgpu' as const])];

describe.each(engines)('on %s', (engine) => {
  beforeAll(async () => void (await openEngine(engine)));

  // A software GPU takes its time over every further shape: there, one of each kind of connector's arithmetic.
  const families = engine === 'webgpu' ? ['llava', 'gemma3'] : Object.keys(GRIDS);
  it.each(families)('%s has the features and the gradients of transformers, and frees all', async (name) => {
    const before = tf.memory().numTensors;
    const expected = await readAll(path.join(data, name, 'expected.safetensors'));
    const patches = patchesOf(expected.get('pixel_values')!);
    const model = await VisionModel.load(path.join(data, name));
    const loaded = tf.memory().numTensors;
    expect(loaded - before).toBe(model.tensors.size);
    const inputs = tensorsOf(model.feeds(patches, GRIDS[name]!));
    const fed = tf.memory().numTensors;
    const features = model.features(inputs, GRIDS[name]!);
    expect(tf.memory().numTensors - fed).toBe(1);
    const theirs = expected.get('features')!;
    expect(features.shape).toEqual(theirs.shape);
    expect(largestDifference(await features.data(), theirs.values)).toBeLessThan(1e-4);
    features.dispose();

    const gradients = [...expected].filter(([key]) => key.startsWith('gradient:'));
    expect(gradients.length).toBeGreaterThan(1);
    const weights = gradients.map(([key]) => model.tensors.get(ours(key.slice('gradient:'.length))) as tf.Tensor);
    const found = tf.tidy(() => {
      const { shape, values } = expected.get('direction')!;
      const direction = tf.tensor(values, shape);
      return tf.grads(() => tf.sum(tf.mul(model.features(inputs, GRIDS[name]!), direction)))(weights);
    });
    for (const [i, [key, { values }]] of gradients.entries()) {
      const turned = key.endsWith('input_projection_weight') ? tf.tidy(() => tf.transpose(found[i]!)) : found[i]!;
      expect(largestDifference(await turned.data(), values), key).toBeLessThan(1e-3);
      turned.dispose();
    }
    tf.dispose([found, inputs]);
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

it.each(Object.keys(GRIDS))('%s can be compiled into a step, its gradients, too', async (name) => {
  await openEngine('tensorflow');
  const expected = await readAll(path.join(data, name, 'expected.safetensors'));
  const model = await VisionModel.load(path.join(data, name));
  const [key, gradient] = [...expected].find(([each]) => each.includes('.fc1.') || each.includes('.attn.qkv.'))!;
  const weight = model.tensors.get(ours(key.slice('gradient:'.length))) as tf.Tensor;
  const direction = expected.get('direction')!;
  const feeds: Feeds = { ...model.feeds(patchesOf(expected.get('pixel_values')!), GRIDS[name]!), direction };
  const inputs = tensorsOf(feeds);
  const step = await stepCompiler()!.compile({
    feeds: Object.values(inputs),
    state: [],
    precision: 'f32',
    step: () => {
      const features = model.features(inputs, GRIDS[name]!);
      const [found] = tf.grads(() => tf.sum(tf.mul(model.features(inputs, GRIDS[name]!), inputs.direction!)))([weight]);
      return { outputs: [features, found!], updates: [] };
    },
  });
  const [features, found] = await step.run(Object.values(feeds).map(({ values }) => values));
  expect(largestDifference(features!, expected.get('features')!.values)).toBeLessThan(1e-4);
  expect(largestDifference(found!, gradient.values)).toBeLessThan(1e-3);
  tf.dispose(inputs);
  model.dispose();
});

it.each(['idefics3', 'llava'])(
  '%s looks at pictures with the same numbers, whatever else it looks at',
  async (name) => {
    await openEngine('tensorflow');
    const expected = await readAll(path.join(data, name, 'expected.safetensors'));
    const model = await VisionModel.load(path.join(data, name));
    const both = patchesOf(expected.get('pixel_values')!);
    const [first, second] = [0, 1].map((i) => ({
      grid: TILES[i]!,
      patches: both.subarray((i * both.length) / 2, ((i + 1) * both.length) / 2),
    })) as [LookedPicture, LookedPicture];
    const look = lookOf(model, {});
    const [a, b] = await look([first, second]);
    expect(largestDifference(Float32Array.of(...a!, ...b!), expected.get('features')!.values)).toBeLessThan(1e-4);
    expect(await look([second, first, second])).toEqual([b, a, b]);
    expect(await look([first])).toEqual([a]);
    model.dispose();
  },
);

/** A model's folder with its weights in half precision, and with the same numbers in f32. */
async function inHalf(name: string, dtype: 'F16' | 'BF16'): Promise<{ half: string; whole: string }> {
  const [narrow, wide] = dtype === 'F16' ? [toHalf, (bits: number) => HALF[bits]!] : [toBfloat, widenBfloat];
  const all = [...(await readAll(path.join(data, name, 'model.safetensors')))];
  const bits = all.map(([tensor, { shape, values }]) => ({
    name: tensor,
    shape,
    data: Uint16Array.from(values, narrow),
  }));
  const write = async (tensors: SafetensorsTensor[]) => {
    const folder = await fsp.mkdtemp(path.join(os.tmpdir(), 'tower-'));
    await fsp.copyFile(path.join(data, name, 'config.json'), path.join(folder, 'config.json'));
    await fsp.writeFile(path.join(folder, 'model.safetensors'), encodeSafetensors(tensors));
    return folder;
  };
  return {
    half: await write(bits.map((tensor) => ({ ...tensor, dtype }))),
    whole: await write(bits.map((tensor) => ({ ...tensor, dtype: 'F32', data: Float32Array.from(tensor.data, wide) }))),
  };
}

it.each([
  ['idefics3', 'BF16'],
  ['llava', 'F16'],
  ['qwen2.5-vl', 'BF16'],
] as const)('%s in %s stays so, in half the memory, and sees as the same numbers in f32', async (name, dtype) => {
  await openEngine('tensorflow');
  const before = tf.memory().numTensors;
  const { half, whole } = await inHalf(name, dtype);
  const models = [await VisionModel.load(half), await VisionModel.load(whole)] as const;
  const packed = [...models[0].tensors].filter(([, tensor]) => tensor instanceof PackedMatrix).map(([key]) => key);
  const matrices = [...models[1].tensors].filter(
    ([key, { shape }]) => /layers|blocks|^connector/.test(key) && shape.length === 2,
  );
  expect(packed.sort()).toEqual(matrices.map(([key]) => key).sort());
  const expected = await readAll(path.join(data, name, 'expected.safetensors'));
  const inputs = tensorsOf(models[0].feeds(patchesOf(expected.get('pixel_values')!), GRIDS[name]!));
  const [ours, theirs] = models.map((model) => model.features(inputs, GRIDS[name]!)) as [tf.Tensor, tf.Tensor];
  expect(largestDifference(await ours.data(), (await theirs.data()) as Float32Array)).toBeLessThan(1e-5);
  for (const { group, block, site } of seeingSites(models[0].config).slice(0, 8)) {
    const [one, other] = models.map((model) => model.siteWeight({ group, block, site })) as [tf.Tensor, tf.Tensor];
    expect(await one.data()).toEqual(await other.data());
    tf.dispose([one, other]);
  }
  for (const { name: tensor } of connectorTensors(models[0].config)) {
    const [one, other] = models.map((model) => model.wholeTensor(tensor)) as [tf.Tensor, tf.Tensor];
    expect(await one.data(), tensor).toEqual(await other.data());
    tf.dispose([one, other]);
  }
  tf.dispose([inputs, ours, theirs]);
  for (const model of models) model.dispose();
  expect(tf.memory().numTensors).toBe(before);
  for (const folder of [half, whole]) await fsp.rm(folder, { recursive: true });
});

describe('a folder', () => {
  beforeAll(async () => void (await openEngine('cpu')));

  /** A changed copy of a model: its configuration, and its tensors under other names or of other shapes. */
  async function changed(
    name: string,
    config: (json: Record<string, unknown>) => unknown,
    rename: (tensor: string) => string | undefined = (tensor) => tensor,
  ): Promise<string> {
    const folder = await fsp.mkdtemp(path.join(os.tmpdir(), 'tower-'));
    const json = JSON.parse(fs.readFileSync(path.join(data, name, 'config.json'), 'utf8')) as Record<string, unknown>;
    fs.writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config(json)));
    const tensors = [...(await readAll(path.join(data, name, 'model.safetensors')))].flatMap(([tensor, value]) => {
      const to = rename(tensor);
      return to === undefined ? [] : [{ name: to, dtype: 'F32' as const, shape: value.shape, data: value.values }];
    });
    fs.writeFileSync(path.join(folder, 'model.safetensors'), encodeSafetensors(tensors));
    return folder;
  }
  const same = (json: Record<string, unknown>) => json;

  it.each([
    ['llava', (tensor: string) => tensor.replace(/^vision_tower\./, 'vision_tower.vision_model.')],
    ['llava', (tensor: string) => `model.${tensor}`],
    ['gemma3', (tensor: string) => tensor.replace(/^vision_tower\./, 'model.vision_tower.vision_model.')],
    ['qwen2.5-vl', (tensor: string) => tensor.replace(/^visual\./, 'model.visual.')],
  ])('of %s is read under the names of other versions, too', async (name, rename) => {
    const folder = await changed(name, same, rename);
    const [model, original] = [await VisionModel.load(folder), await VisionModel.load(path.join(data, name))];
    expect([...model.tensors.keys()].sort()).toEqual([...original.tensors.keys()].sort());
    const values = (of: VisionModel, key: string) => (of.tensors.get(key) as tf.Tensor).data();
    for (const key of model.tensors.keys()) expect(await values(model, key)).toEqual(await values(original, key));
    model.dispose();
    original.dispose();
    await fsp.rm(folder, { recursive: true });
  });

  const fc1 = /layers\.0\.mlp\.fc1\.weight$/;
  it.each([
    ['a tensor that is missing', same, (tensor: string) => (fc1.test(tensor) ? undefined : tensor), 'missing'],
    ['a tensor that is too many', same, (tensor: string) => tensor.replace(fc1, 'layers.0.mlp.fc9.weight'), 'missing'],
    ['other widths', (json: Record<string, unknown>) => ({ ...json, vision_config: { ...(json['vision_config'] as object), hidden_size: 32 } }), undefined, '16 x'], // prettier-ignore
  ])('with %s is refused, and nothing is left', async (_, config, rename, what) => {
    const before = tf.memory().numTensors;
    const folder = await changed('idefics3', config, rename);
    await expect(VisionModel.load(folder)).rejects.toThrow(what);
    expect(tf.memory().numTensors).toBe(before);
    await fsp.rm(folder, { recursive: true });
  });

  it('with what the tower has no place for is refused by name', async () => {
    const folder = await changed('gemma3', same, (tensor) =>
      tensor.replace('vision_tower.head.', 'vision_tower.head.'),
    );
    const reader = await readAll(path.join(folder, 'model.safetensors'));
    const extra = {
      name: 'vision_tower.encoder.layers.0.self_attn.q_norm.weight',
      shape: [2],
      values: new Float32Array(2),
    };
    fs.writeFileSync(
      path.join(folder, 'model.safetensors'),
      encodeSafetensors([...[...reader].map(([name, value]) => ({ name, ...value })), extra].map(({ name, shape, values }) => ({ name, dtype: 'F32' as const, shape, data: values }))), // prettier-ignore
    );
    await expect(VisionModel.load(folder)).rejects.toThrow('q_norm');
    await fsp.rm(folder, { recursive: true });
  });

  it('of another kind, or with another tower or connector, is refused by file and field', () => {
    const config = (name: string, change: Record<string, unknown>, inside: Record<string, unknown> = {}) => {
      const json = JSON.parse(fs.readFileSync(path.join(data, name, 'config.json'), 'utf8')) as Record<string, unknown>;
      return () => visionConfig({ ...json, ...change, vision_config: { ...(json['vision_config'] as object), ...inside } }, 'here/config.json'); // prettier-ignore
    };
    expect(config('llava', { model_type: 'mllama' })).toThrow('here/config.json: models of the type "mllama"');
    expect(config('llava', {}, { model_type: 'siglip_vision_model' })).toThrow('"siglip_vision_model"');
    expect(config('llava', { vision_feature_layer: [-2, -5] })).toThrow('"vision_feature_layer"');
    expect(config('llava', { vision_feature_layer: -9 })).toThrow('"vision_feature_layer" is -9');
    expect(config('llava', { projector_hidden_act: 'relu' })).toThrow('"relu"');
    expect(config('gemma3', { mm_tokens_per_image: 9 })).toThrow('"mm_tokens_per_image"');
    expect(config('idefics3', { scale_factor: 3 })).toThrow('"scale_factor"');
    expect(config('idefics3', {}, { num_attention_heads: 3 })).toThrow('3 heads');
    expect(config('qwen2.5-vl', {}, { window_size: 2 })).toThrow('"window_size"');
    expect(config('qwen2.5-vl', {}, { hidden_size: 1e12 })).toThrow('"vision_config.hidden_size"');
  });

  it('refuses pictures of sizes that its tower does not take', async () => {
    const model = await VisionModel.load(path.join(data, 'idefics3'));
    expect(() => model.feeds(new Float32Array(48 * 15), [{ rows: 3, columns: 5 }])).toThrow('5 x 3 patches');
    model.dispose();
  });
});
