import { noSoftwareGpu } from '../../support/software-gpu.ts';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { Adapter } from '../../../src-main/effilora/adapter.ts';
import type { AdapterOptions } from '../../../src-main/effilora/types.ts';
import { openEngine } from '../../../src-main/engine/index.ts';
import { stepCompiler } from '../../../src-main/engine/compiler.ts';
import type { EngineName } from '../../../src-main/engine/types.ts';
import { UNet, type UNetInputs } from '../../../src-main/models/diffusion/unet/unet.ts';
import { asTensors, type Feeds } from '../../../src-main/models/feeds.ts';
import { largestDifference } from '../support.ts';
import { readAll } from '../vision/support.ts';
import { channelsLast } from './support.ts';

/** A tiny UNet's convolutions adapted: by PEFT's LoRA, and by EffiLoRA on what each filter sees (../data/diffusion/make_convolutions.py). */
const folder = path.join(import.meta.dirname, '../data/diffusion/unets/sd1');
const TARGETS = ['conv1', 'conv2', 'conv_shortcut', 'time_emb_proj', 'downsample', 'upsample'].map(
  (site) => `unet.${site}`,
);

async function opened(name: 'lora' | 'effilora', more: Partial<AdapterOptions> = {}) {
  const model = await UNet.load(folder);
  const options: AdapterOptions = {
    ...{ name, rank: 3, heads: 2, alpha: 6, targets: TARGETS, share: 'global', router: 'site' },
    ...{ dropout: 0, rsLora: false, dora: false, ...more },
  };
  const adapter = new Adapter(model.sites(), options, 1);
  const expected = await readAll(path.join(folder, 'convolutions.safetensors'));
  const given = await readAll(path.join(folder, 'expected.safetensors'));
  const context = given.get('context')!;
  const feeds: Feeds = {
    ...{ sample: channelsLast(given.get('sample')!), direction: channelsLast(given.get('direction')!) },
    context: { values: context.values, shape: [context.values.length / context.shape[2]!, context.shape[2]!] },
    ...model.timeFeeds(given.get('times')!.values),
  };
  const of = (key: string) => expected.get(`${name}:${key}`)!;
  return { model, adapter, feeds, of, names: adapter.trainables.map((trainable) => trainable.name) };
}

type Opened = Awaited<ReturnType<typeof opened>>;

const importAll = ({ adapter, of }: Opened) =>
  adapter.import(adapter.trainables.map(({ name, shape }) => ({ name, shape, data: of(`adapter:${name}`).values })));

/** The output, then the gradients of its sum along the direction: to latents, text and what is learned. */
function outputAndGradients({ model, adapter }: Opened, inputs: Record<string, Tensor>): Tensor[] {
  const predict = (sample: Tensor, context: Tensor) =>
    model.predict(sample as Tensor4D, { ...inputs, context } as unknown as UNetInputs, { adaptation: adapter });
  const { sample, context, direction } = inputs as Record<string, Tensor>;
  const variables = adapter.trainables.map(({ variable }) => variable);
  const found = tf.tidy(() => tf.grads((x, text) => tf.sum(tf.mul(predict(x!, text!), direction!)))([sample!, context!, ...variables])); // prettier-ignore
  return [predict(sample!, context!), ...found];
}

function expectAll({ adapter, names, of }: Opened, [out, ...found]: Float32Array[]): void {
  expect(largestDifference(out!, channelsLast(of('out')).values)).toBeLessThan(1e-4);
  for (const [i, name] of ['sample', 'context', ...names].entries()) {
    const theirs = of(`gradient:${name}`);
    const { shape } = theirs;
    // B lies [heads * rank, out] in memory.
    const ours = name.endsWith('.B') ? Float32Array.from({ length: found[i]!.length }, (_, at) => {
      const [out, rank] = shape.slice(1) as [number, number];
      const [head, row, column] = [Math.floor(at / (out * rank)), Math.floor(at / rank) % out, at % rank];
      return found[i]![(head * rank + column) * out + row]!;
    }) : found[i]!; // prettier-ignore
    expect(largestDifference(ours, name === 'sample' ? channelsLast(theirs).values : theirs.values), name).toBeLessThan(1e-3); // prettier-ignore
  }
  // Eight blocks of two convolutions and a linear of the time, five shortcuts where the channels change, two samplers.
  expect(adapter.sites.length).toBe(31);
}

it.each([
  ['tensorflow', 'lora'],
  ['tensorflow', 'effilora'],
  ['wasm', 'effilora'],
  ...(noSoftwareGpu ? [] : [['webgpu', 'effilora']]),
] as [EngineName, 'lora' | 'effilora'][])('on %s, by %s: the output, and what all learn', async (engine, method) => {
  await openEngine(engine);
  const before = tf.memory().numTensors;
  const all = await opened(method);
  const inputs = asTensors(all.feeds);
  // A fresh adapter leaves the model as it is.
  const plain = all.model.predict(inputs.sample as Tensor4D, inputs as unknown as UNetInputs);
  const fresh = all.model.predict(inputs.sample as Tensor4D, inputs as unknown as UNetInputs, {
    adaptation: all.adapter,
  });
  expect(await fresh.data()).toEqual(await plain.data());
  importAll(all);
  const found = outputAndGradients(all, inputs);
  expectAll(all, await Promise.all(found.map(async (tensor) => (await tensor.data()) as Float32Array)));
  tf.dispose([inputs, found, plain, fresh]);
  all.adapter.dispose();
  all.model.dispose();
  expect(tf.memory().numTensors).toBe(before);
});

it('compiled, the same', async () => {
  await openEngine('tensorflow');
  const all = await opened('effilora');
  importAll(all);
  const inputs = asTensors(all.feeds);
  const state = all.adapter.trainables.map(({ variable }) => variable);
  const step = await stepCompiler()!.compile({
    ...{ feeds: Object.values(inputs), state, precision: 'f32' },
    step: () => ({ outputs: outputAndGradients(all, inputs), updates: state.map(() => undefined) }),
  });
  expectAll(all, await step.run(Object.values(all.feeds).map(({ values }) => values)));
  tf.dispose(inputs);
  all.adapter.dispose();
  all.model.dispose();
});

it('drop pixels with their channels while training, begin with DoRA as the model is, and show what a filter sees', async () => {
  await openEngine('tensorflow');
  const before = tf.memory().numTensors;
  const all = await opened('effilora', { dropout: 0.4, dora: true });
  const { model, adapter } = all;
  adapter.initialiseMagnitudes((site) => model.siteWeight(site));
  const inputs = asTensors(all.feeds);
  const run = () => {
    const out = model.predict(inputs.sample as Tensor4D, inputs as unknown as UNetInputs, { adaptation: adapter });
    const values = out.dataSync();
    out.dispose();
    return values as Float32Array;
  };
  const plain = tf.tidy(() => model.predict(inputs.sample as Tensor4D, inputs as unknown as UNetInputs).dataSync()) as unknown as Float32Array; // prettier-ignore
  expect(largestDifference(run(), plain)).toBeLessThan(1e-4);
  for (const { role, variable } of adapter.trainables) if (role === 'B') tf.tidy(() => variable.assign(tf.add(variable, 0.2))); // prettier-ignore
  const adapted = run();
  // A site whose rows are what the filter sees, written out: its product with A is the convolution's.
  const seen: number[] = [];
  adapter.observeHeads = (site, x, a, z) => {
    if (site.kind !== 'conv') return;
    const h = tf.tidy(() => tf.matMul(x, a, false, true));
    const sums = tf.tidy(() => tf.sum(tf.reshape(z, [-1, 2, 3]), 1));
    seen.push(largestDifference(h.dataSync() as Float32Array, sums.dataSync() as Float32Array));
    expect(x.shape[1]).toBe(site.inFeatures);
    tf.dispose([h, sums]);
  };
  run();
  adapter.observeHeads = undefined;
  expect(seen.length).toBe(adapter.sites.filter(({ kind }) => kind === 'conv').length);
  expect(Math.max(...seen)).toBeLessThan(1e-5);
  // One number for each place of each level's pictures.
  const [pictures, height, width] = all.feeds.sample!.shape as [number, number, number];
  const rows = (level: number) => tf.tensor2d(Float32Array.from({ length: (pictures * height * width) >> (2 * level) }, (_, i) => 10 + ((i * 7.31) % 90)), [(pictures * height * width) >> (2 * level), 1]); // prettier-ignore
  const parts = { 'unet.level0': { dropout: rows(0) }, 'unet.level1': { dropout: rows(1) } };
  adapter.step = { active: [], parts };
  const dropped = run();
  expect(run()).toEqual(dropped);
  adapter.step = undefined;
  expect(largestDifference(dropped, adapted)).toBeGreaterThan(0.01);
  tf.dispose([inputs, parts as unknown as tf.TensorContainer]);
  adapter.dispose();
  model.dispose();
  expect(tf.memory().numTensors).toBe(before);
});
