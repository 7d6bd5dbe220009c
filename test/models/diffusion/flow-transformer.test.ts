import fs from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import type { AdapterOptions } from '../../../src-main/effilora/types.ts';
import { openEngine } from '../../../src-main/engine/index.ts';
import { PackedMatrix } from '../../../src-main/engine/packed.ts';
import { stepCompiler } from '../../../src-main/engine/compiler.ts';
import type { EngineName } from '../../../src-main/engine/types.ts';
import { fullAttention } from '../../../src-main/engine/full-attention.ts';
import { heldInFlow } from '../../../src-main/models/diffusion/flow/held.ts';
import type { PromptPart } from '../../../src-main/models/diffusion/flow/texts.ts';
import { maskedAttention } from '../../../src-main/models/diffusion/flow/masked-attention.ts';
import { flowTransformerConfig } from '../../../src-main/models/diffusion/flow/config.ts';
import { FlowTransformer, type FlowInputs } from '../../../src-main/models/diffusion/flow/transformer.ts';
import { asTensors, type Feeds } from '../../../src-main/models/feeds.ts';
import { largestDifference } from '../support.ts';
import { readAll } from '../vision/support.ts';
import { adapterOf, gradients, inFileForm, predict, type Expected } from './networks.ts';
import { channelsLast } from './support.ts';

/** A tiny random Z-Image transformer, with diffusers' outputs and gradients, and EffiLoRA's on it (data/diffusion/make_flow.py). */
const data = path.join(import.meta.dirname, '../data/diffusion/pipelines/z-image');
const folder = path.join(data, 'transformer');
const TARGETS = ['attention.to_q', 'attention.to_k', 'attention.to_out', 'feed_forward.w1', 'feed_forward.w2'].map(
  (name) => `transformer.${name}`,
);
const OPTIONS: AdapterOptions = {
  ...{ name: 'effilora', rank: 3, heads: 2, alpha: 6, targets: TARGETS, share: 'global', router: 'site' },
  ...{ dropout: 0, rsLora: false, dora: false },
};
/** The longer text has 40 tokens. */
const LENGTH = 64;

const expectedNumbers = () => readAll(path.join(data, 'expected.safetensors'));

/** The case's texts, filled up by what must not be seen. */
function textFeeds(expected: Expected, texts: number[], length: number): Feeds {
  const own = texts.map((i) => expected.get(`context.${i}`)!);
  const width = own[0]!.shape[1]!;
  const values = new Float32Array(own.length * length * width).fill(77);
  own.forEach((text, i) => values.set(text.values, i * length * width));
  return {
    context: { values, shape: [own.length * length, width] },
    pooled: { values: Float32Array.from(own, ({ shape }) => shape[0]!), shape: [own.length, 1] },
  };
}

function feedsOf(model: FlowTransformer, expected: Expected): Feeds {
  const pictures = (name: string) => channelsLast(expected.get(name)!);
  return {
    ...{ sample: pictures('sample'), direction: pictures('direction') },
    ...textFeeds(expected, [0, 1], LENGTH),
    ...model.timeFeeds(expected.get('times')!.values),
  };
}

async function expectGradients(found: Tensor[], names: string[], expected: Expected, prefix: string): Promise<void> {
  const near = (ours: ArrayLike<number>, theirs: ArrayLike<number>, name: string) =>
    expect(largestDifference(ours, theirs), name).toBeLessThan(1e-3);
  for (const [i, name] of names.entries()) {
    const ours = tf.tidy(() => inFileForm(name, found[i]!, OPTIONS));
    const values = await ours.data();
    const theirs = (own: string) => expected.get(`${prefix}gradient:${own}`)!;
    if (name === 'sample') near(values, channelsLast(theirs('sample')).values, name);
    else if (name === 'context') {
      const size = values.length / 2;
      for (const text of [0, 1]) {
        const own = theirs(`context.${text}`).values;
        const filled = new Float32Array(size);
        filled.set(own);
        near(values.slice(text * size, (text + 1) * size), filled, name);
      }
    } else near(values, theirs(name).values, name);
    ours.dispose();
  }
}

// What the others compute with is held to the same numbers elsewhere.
const engines: EngineName[] = ['tensorflow', 'wasm'];

describe.each(engines)('a flow’s transformer on %s', (engine) => {
  beforeAll(async () => void (await openEngine(engine)));

  it('has the output and the gradients of diffusers, and frees all', async () => {
    const before = tf.memory().numTensors;
    const expected = await expectedNumbers();
    const model = await FlowTransformer.load(folder);
    const inputs = asTensors(feedsOf(model, expected));
    const fed = tf.memory().numTensors;
    const out = predict(model, inputs);
    expect(tf.memory().numTensors - fed).toBe(1);
    const theirs = channelsLast(expected.get('out')!).values;
    expect(largestDifference(await out.data(), theirs)).toBeLessThan(1e-4);
    const found = gradients(model, inputs, []);
    await expectGradients(found, ['sample', 'context'], expected, '');

    // A picture alone is not filled up to another's text, and the same.
    const sample = tf.slice(inputs['sample']!, 0, 1);
    const told = asTensors({ ...textFeeds(expected, [0], 32), ...model.timeFeeds([7]) });
    const alone = predict(model, { sample, ...told });
    expect(largestDifference(await alone.data(), theirs.slice(0, theirs.length / 2))).toBeLessThan(1e-4);
    tf.dispose([out, found, inputs, sample, told, alone]);
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('learns with EffiLoRA as the method has it, run again in backward, too', async () => {
    const before = tf.memory().numTensors;
    const expected = await expectedNumbers();
    const model = await FlowTransformer.load(folder);
    const { adapter, learned } = adapterOf(model, OPTIONS, expected);
    const inputs = asTensors(feedsOf(model, expected));
    const out = predict(model, inputs, { adaptation: adapter });
    expect(largestDifference(await out.data(), channelsLast(expected.get('adapted:out')!).values)).toBeLessThan(1e-4);
    const variables = adapter.trainables.map(({ variable }) => variable);
    for (const recompute of engine === 'tensorflow' ? [false, true] : [true]) {
      const found = gradients(model, inputs, variables, { adaptation: adapter, recompute });
      await expectGradients(found, ['sample', 'context', ...learned], expected, 'adapted:');
      tf.dispose(found);
    }
    tf.dispose([out, inputs]);
    adapter.dispose();
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

it.each([false, true])(
  'a flow’s transformer can be compiled into a step, run again in backward: %s',
  async (recompute) => {
    await openEngine('tensorflow');
    const expected = await expectedNumbers();
    const model = await FlowTransformer.load(folder);
    const { adapter, learned } = adapterOf(model, OPTIONS, expected);
    const feeds = feedsOf(model, expected);
    const inputs = asTensors(feeds);
    const variables = adapter.trainables.map(({ variable }) => variable);
    const pass = { adaptation: adapter, recompute };
    const step = await stepCompiler()!.compile({
      feeds: Object.values(inputs),
      state: variables,
      precision: 'f32',
      step: () => ({
        outputs: [predict(model, inputs, pass), ...gradients(model, inputs, variables, pass)],
        updates: variables.map(() => undefined),
      }),
    });
    const [out, ...found] = await step.run(Object.values(feeds).map(({ values }) => values));
    expect(largestDifference(out!, channelsLast(expected.get('adapted:out')!).values)).toBeLessThan(1e-4);
    const shapes = [inputs['sample']!, inputs['context']!, ...variables].map(({ shape }) => shape);
    const tensors = found.map((values, i) => tf.tensor(values, shapes[i]));
    await expectGradients(tensors, ['sample', 'context', ...learned], expected, 'adapted:');
    tf.dispose([tensors, inputs]);
    adapter.dispose();
    model.dispose();
  },
);

describe('a flow’s transformer', () => {
  beforeAll(async () => void (await openEngine('tensorflow')));
  const config = JSON.parse(fs.readFileSync(path.join(folder, 'config.json'), 'utf8')) as Record<string, unknown>;

  it.each([6, 32])('attends to none of the keys that are hidden, whatever they hold: heads of %i', async (size) => {
    const [tokens, seen, heads] = [7, 5, 2];
    const made = (seed: number) => tf.randomNormal<tf.Rank.R2>([2 * tokens, heads * size], 0, 1, 'float32', seed);
    const [q, k, v, direction] = [1, 2, 3, 4].map(made) as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
    // The second row's last keys are hidden.
    const shown = tf.tensor2d(
      Array.from({ length: 2 * tokens }, (_, i) => Number(i < tokens + seen)),
      [2 * tokens, 1],
    );
    const dirty = (x: tf.Tensor2D) => tf.add<tf.Tensor2D>(x, tf.mul(tf.sub(1, shown), 300));
    const row = (x: tf.Tensor2D, i: number, count: number) => tf.slice(x, [i * tokens, 0], [count, -1]);
    const ours = (a: tf.Tensor2D, b: tf.Tensor2D, c: tf.Tensor2D) =>
      maskedAttention(a, dirty(b), dirty(c), shown, 2, heads);
    const theirs = (a: tf.Tensor2D, b: tf.Tensor2D, c: tf.Tensor2D) =>
      tf.concat([0, 1].map((i) => fullAttention(row(a, i, tokens), row(b, i, i ? seen : tokens), row(c, i, i ? seen : tokens), 1, heads))); // prettier-ignore
    const numbers = async (attend: typeof ours) => {
      const along = (...x: tf.Tensor[]) => tf.sum(tf.mul(attend(...(x as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D])), direction)); // prettier-ignore
      const all = tf.tidy(() => [attend(q, k, v), ...tf.grads(along)([q, k, v])]);
      return Promise.all(all.map((x) => x.data()));
    };
    const [found, expected] = [await numbers(ours), await numbers(theirs)];
    expected.forEach((own, at) => expect(largestDifference(found[at]!, own)).toBeLessThan(1e-5));
  });

  it('stays in f16 where that is asked for, and learns as in f32', async () => {
    const expected = await expectedNumbers();
    const model = await FlowTransformer.load(folder, 'auto');
    const packed = [...model.tensors].filter(([, tensor]) => tensor instanceof PackedMatrix).map(([name]) => name);
    const sites = model.sites().map((site) => `${site.path}.weight`);
    const prompt = { config: { layers: 3 } } as PromptPart;
    const more = packed.filter((name) => !sites.includes(name));
    const beside = [...model.tensors].filter(([name, { shape }]) => heldInFlow({ prompt }, 'transformer', { name, shape }) === 'held').map(([name]) => name); // prettier-ignore
    expect(beside.sort()).toEqual([...more].sort());
    expect(more).toHaveLength(1 + 3);
    expect([...sites, ...more].sort()).toEqual(packed.sort());
    const { adapter, learned } = adapterOf(model, OPTIONS, expected);
    const inputs = asTensors(feedsOf(model, expected));
    const pass = { adaptation: adapter };
    const found = gradients(model, inputs, adapter.trainables.map(({ variable }) => variable), pass); // prettier-ignore
    await expectGradients(found, ['sample', 'context', ...learned], expected, 'adapted:');
    tf.dispose([found, inputs]);
    adapter.dispose();
    model.dispose();
  });

  it('names its sites by block, and gives their weights', async () => {
    const model = await FlowTransformer.load(folder);
    const file = await readAll(path.join(folder, 'diffusion_pytorch_model.safetensors'));
    const sites = model.sites();
    expect(model.blocks).toBe(4);
    expect(sites.filter(({ site }) => site === 'transformer.attention.to_out').map((site) => [site.block, site.path, site.rows])).toEqual([
      [0, 'noise_refiner.0.attention.to_out.0', 'transformer.picture'],
      [1, 'context_refiner.0.attention.to_out.0', 'transformer.text'],
      [2, 'layers.0.attention.to_out.0', 'transformer.both'],
      [3, 'layers.1.attention.to_out.0', 'transformer.both'],
    ]); // prettier-ignore
    expect(new Set(sites.map(({ block, site }) => `${block}.${site}`)).size).toBe(sites.length);
    for (const site of sites.slice(0, 7)) {
      const weight = model.siteWeight(site);
      expect(weight.shape).toEqual([site.inFeatures, site.outFeatures]);
      const turned = tf.tidy(() => tf.transpose(weight));
      expect(await turned.data()).toEqual(file.get(`${site.path}.weight`)!.values);
      tf.dispose([weight, turned]);
    }
    expect(model.rows({ pictures: 2, height: 8, width: 12, text: 64 })).toEqual({
      ...{ 'transformer.picture': 64, 'transformer.text': 128, 'transformer.both': 192 },
    });
    model.dispose();
  });

  it('is read as diffusers means it where its file says nothing: Z-Image’s own sizes', () => {
    const read = flowTransformerConfig({ _class_name: 'ZImageTransformer2DModel' }, 'here/config.json');
    expect(read).toMatchObject({
      ...{ channels: 16, width: 3840, innerWidth: 10240, heads: 30, layers: 30, refiners: 2, contextWidth: 2560 },
      rope: { theta: 256, axes: [[32, 1024], [48, 512], [48, 512]].map(([features, length]) => ({ features, length })) },
    }); // prettier-ignore
  });

  it.each([
    [{ all_patch_size: [2, 4] }, '"all_patch_size" is [2,4], which is not supported; supported is [2]'],
    [{ siglip_feat_dim: 1152 }, '"siglip_feat_dim" is 1152'],
    [{ n_kv_heads: 1 }, '"n_kv_heads" is 1'],
    [{ axes_dims: [4, 4, 6] }, '"axes_dims" has to be even numbers with a sum of 12'],
    [{ axes_lens: [1e9, 16, 16] }, '"axes_lens.0"'],
    [{ newly_invented: 3 }, 'here/config.json: "newly_invented" is 3'],
  ])('of another kind is refused by file, field and value: %j', (change, what) => {
    expect(() => flowTransformerConfig({ ...config, ...change }, 'here/config.json')).toThrow(what);
  });

  it('refuses what it can not place', async () => {
    const model = await FlowTransformer.load(folder);
    const told = (text: number): FlowInputs => ({
      ...{ time: tf.zeros([1, 256]), context: tf.zeros([text, 10]), pooled: tf.ones([1, 1]) },
    });
    const sized =
      (shape: [number, number, number, number], text = 32) =>
      () =>
        tf.tidy(() => void model.predict(tf.zeros(shape), told(text)));
    expect(sized([1, 8, 7, 4])).toThrow('Latents of 7 x 8');
    expect(sized([1, 8, 8, 9])).toThrow('Latents have 9 channels');
    expect(sized([1, 8, 40, 4])).toThrow('20 x 4 patches');
    expect(sized([1, 8, 8, 4], 192)).toThrow('A text of 192 tokens');
    model.dispose();
  });
});
