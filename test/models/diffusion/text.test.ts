import fs from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../../src-main/engine/index.ts';
import { stepCompiler } from '../../../src-main/engine/compiler.ts';
import type { EngineName } from '../../../src-main/engine/types.ts';
import { textConfig } from '../../../src-main/models/diffusion/text/config.ts';
import { TextEncoder, tokenFeeds, type TextInputs } from '../../../src-main/models/diffusion/text/encoder.ts';
import { asTensors, type Feeds } from '../../../src-main/models/feeds.ts';
import { largestDifference } from '../support.ts';
import { readAll } from '../vision/support.ts';

/** Tiny random CLIP text encoders with transformers' features and gradients (data/diffusion/make_texts.py). */
const data = path.join(import.meta.dirname, '../data/diffusion/texts');
const KINDS = ['sd1', 'sdxl'] as const;
type Kind = (typeof KINDS)[number];
/** As Stable Diffusion XL takes its texts. */
const BEFORE_LAST = { skip: 1, normed: false };

const open = async (kind: Kind) => ({
  expected: await readAll(path.join(data, kind, 'expected.safetensors')),
  encoder: await TextEncoder.load(path.join(data, kind)),
});
type Case = Awaited<ReturnType<typeof open>>;

function feedsOf({ expected, encoder }: Case): Feeds {
  const { shape, values } = expected.get('ids')!;
  const texts = Array.from({ length: shape[0]! }, (_, i) =>
    Int32Array.from(values.subarray(i * shape[1]!, (i + 1) * shape[1]!)),
  );
  return tokenFeeds(encoder.config, texts);
}

const directions = ({ expected }: Case) =>
  ['direction', 'pooledDirection'].flatMap((name) => {
    const found = expected.get(name);
    return found ? [tf.reshape(tf.tensor(found.values), [-1, found.shape.at(-1)!])] : [];
  });

/** What the case's gradients are of. */
function total(one: Case, kind: Kind, inputs: TextInputs): tf.Scalar {
  const [own, pooled] = directions(one) as [Tensor, Tensor];
  if (kind === 'sd1') return tf.sum(tf.mul(one.encoder.features(inputs), own));
  const out = one.encoder.featuresAndPooled(inputs, BEFORE_LAST);
  return tf.add(tf.sum(tf.mul(out.features, own)), tf.sum(tf.mul(out.pooled, pooled)));
}

const gradientsOf = ({ expected }: Case) =>
  [...expected].filter(([name]) => name.startsWith('gradient:')).map(([name, { values }]) => ({ name: name.slice(9), values })); // prettier-ignore

const weightOf = ({ encoder }: Case, name: string) =>
  encoder.tensors.get(name.replace(/^encoder\./, 'text_model.encoder.')) as Tensor;

describe.each<EngineName>(['tensorflow', 'wasm', 'cpu'])('on %s', (engine) => {
  beforeAll(async () => void (await openEngine(engine)));

  it.each(KINDS)('%s has the features and the gradients of transformers, and frees all', async (kind) => {
    const before = tf.memory().numTensors;
    const one = await open(kind);
    const { encoder, expected } = one;
    const inputs = asTensors(feedsOf(one)) as unknown as TextInputs;
    const fed = tf.memory().numTensors;
    expect(fed - before).toBe(encoder.tensors.size + 2);
    const outputs: Record<string, Tensor> = {
      last: encoder.features(inputs),
      penultimate: encoder.features(inputs, BEFORE_LAST),
      ...(kind === 'sdxl' && encoder.featuresAndPooled(inputs, BEFORE_LAST)),
    };
    for (const [name, values] of Object.entries(outputs))
      expect(
        largestDifference(await values.data(), expected.get(name.replace('features', 'penultimate'))!.values),
        name,
      ).toBeLessThan(1e-4);
    tf.dispose(outputs);

    const gradients = gradientsOf(one);
    expect(gradients.length).toBeGreaterThan(2);
    const weights = gradients.map(({ name }) => weightOf(one, name));
    const found = tf.tidy(() => tf.grads(() => total(one, kind, inputs))(weights));
    for (const [i, { name, values }] of gradients.entries())
      expect(largestDifference(await found[i]!.data(), values), name).toBeLessThan(1e-3);
    tf.dispose([found, inputs as object as Record<string, Tensor>]);
    encoder.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

it.each(KINDS)('%s can be compiled into a step, its gradients, too', async (kind) => {
  await openEngine('tensorflow');
  const one = await open(kind);
  const feeds = feedsOf(one);
  const inputs = asTensors(feeds);
  const gradients = gradientsOf(one);
  const step = await stepCompiler()!.compile({
    feeds: Object.values(inputs),
    state: [],
    precision: 'f32',
    step: () => {
      const given = inputs as unknown as TextInputs;
      const weights = gradients.map(({ name }) => weightOf(one, name));
      return {
        outputs: [one.encoder.features(given), ...tf.grads(() => total(one, kind, given))(weights)],
        updates: [],
      };
    },
  });
  const [last, ...found] = await step.run(Object.values(feeds).map(({ values }) => values));
  expect(largestDifference(last!, one.expected.get('last')!.values)).toBeLessThan(1e-4);
  for (const [i, { name, values }] of gradients.entries())
    expect(largestDifference(found[i]!, values), name).toBeLessThan(1e-3);
  tf.dispose(inputs);
  one.encoder.dispose();
});

it('names its sites by layer, and gives their weights', async () => {
  await openEngine('cpu');
  const encoder = await TextEncoder.load(path.join(data, 'sdxl'), 'text_2');
  const file = await readAll(path.join(data, 'sdxl/model.safetensors'));
  const sites = encoder.sites();
  expect(sites.map(({ block, site }) => `${block}.${site}`).slice(4, 8)).toEqual([
    ...['0.text_2.fc1', '0.text_2.fc2', '1.text_2.q_proj', '1.text_2.k_proj'],
  ]);
  for (const site of sites) {
    const turned = tf.tidy(() => tf.transpose(encoder.siteWeight(site)));
    expect(turned.shape).toEqual([site.outFeatures, site.inFeatures]);
    expect(await turned.data()).toEqual(file.get(`${site.path}.weight`)!.values);
    turned.dispose();
  }
  expect(() => tokenFeeds(encoder.config, [Int32Array.of(38, 40, 39)])).toThrow(
    'token 40, and the text encoder has 40',
  );
  encoder.dispose();
});

it.each([
  [{ model_type: 'bert' }, '"model_type" is "bert", which is not supported; supported is "clip_text_model"'],
  [{ hidden_act: 'relu' }, '"hidden_act" is "relu"'],
  [{ num_attention_heads: 5 }, '5 heads'],
  [{ hidden_size: 1e12 }, '"hidden_size"'],
])('of another kind is refused by file, field and value: %j', (change, what) => {
  const config = JSON.parse(fs.readFileSync(path.join(data, 'sd1/config.json'), 'utf8')) as object;
  expect(() => textConfig({ ...config, ...change }, 'here/config.json')).toThrow(what);
});
