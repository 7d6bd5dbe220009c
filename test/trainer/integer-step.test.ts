import fs from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, beforeEach, afterEach, expect, it, vi } from 'vitest';
import { packBatch } from '../../src-main/data/batches.ts';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../src-main/effilora/adamw.ts';
import { headsPerSite } from '../../src-main/effilora/methods/structure.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import { fusedKernels, registerFusedKernels } from '../../src-main/engine/fused-kernels.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { integerProductComposed } from '../../src-main/engine/integer-product.ts';
import type { PackedKernels } from '../../src-main/engine/packed.ts';
import { type Products, withProducts } from '../../src-main/engine/products.ts';
import { GraphBuilder } from '../../src-main/engine/tensorflow/graph-builder.ts';
import { randomStream } from '../../src-main/engine/random.ts';
import { loadCausalLM, type CausalLM } from '../../src-main/models/causal-lm.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { DECODER_SITES } from '../../src-main/models/types.ts';
import { nextTokenObjective } from '../../src-main/tasks/next-token.ts';
import { microBatchGradients } from '../../src-main/trainer/gradients.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { TrainingStep, type StepReport } from '../../src-main/trainer/step.ts';
import { train as trainRun } from '../../src-main/trainer/train.ts';
import { options } from '../effilora/support.ts';
import { data } from '../models/support.ts';
import { smallRun, temporary } from './support.ts';

beforeAll(async () => void (await openEngine('tensorflow')));

/** Widths of 32 and 48: the latter is held in bf16 and has a shorter last block. */
let model: CausalLM;
beforeEach(async () => {
  const file = await openTextModel(path.join(data, 'llama-tied'));
  model = await loadCausalLM(file, 'integers');
  await file.close();
});
afterEach(() => model.dispose());

const random = randomStream(4, 'examples');
const example = (tokens: number) => {
  const inputIds = Int32Array.from({ length: tokens }, () => Math.floor(random() * 96));
  return { inputIds, labels: inputIds };
};
const BATCHES = [
  [5, 9, 14, 20],
  [31, 40],
  [24, 31, 8, 8, 25, 12, 40],
].map((lengths) => packBatch(lengths.map(example), 40));

/** Heads that are not zero, so that gradients flow everywhere. */
function adapterOn(on: CausalLM): Adapter {
  const adapter = new Adapter(on.sites(), options({ targets: [...DECODER_SITES] }), 3);
  for (const { role, variable } of adapter.trainables)
    if (role === 'B') tf.tidy(() => variable.assign(tf.randomNormal(variable.shape, 0, 0.1, 'float32', 3)));
  return adapter;
}

/** Loss and gradients of the first batch, one after the other. */
function gradients(products: Products): Float32Array {
  const objective = nextTokenObjective(model);
  const adapter = adapterOn(model);
  const values = tf.tidy(() => {
    const batch = objective.tensors(BATCHES[2]!);
    const passes = { recompute: true, withoutBackward: 0 };
    const found = withProducts(products, () => microBatchGradients(objective, adapter, batch, tf.scalar(0.01), passes));
    return tf.concat([found.loss, ...found.gradients].map((tensor) => tf.reshape(tensor, [-1]))).dataSync();
  });
  adapter.dispose();
  return Float32Array.from(values);
}

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const norm = (a: Float32Array) => Math.sqrt(dot(a, a));
const difference = (a: Float32Array, b: Float32Array) => norm(a.map((value, i) => value - b[i]!)) / norm(b);

it('has gradients near those in f32, and those of f32 numbers that are rounded likewise', () => {
  const [f32, int8] = [gradients('f32').slice(1), gradients('int8').slice(1)];
  expect(dot(f32, int8) / norm(f32) / norm(int8)).toBeGreaterThan(0.99);
  expect(difference(int8, f32)).toBeLessThan(0.1);
  expect(difference(int8, f32)).toBeGreaterThan(1e-4);
  const kernels = fusedKernels()!;
  const { packed } = kernels as { packed: PackedKernels };
  const composed: PackedKernels['integerProduct'] = (x, weight, gradient) =>
    tf.tidy(() => integerProductComposed(x, packed.unpack(weight), gradient, weight.isInBlocks));
  registerFusedKernels('tensorflow', { ...kernels, packed: { ...packed, integerProduct: composed } });
  try {
    expect(difference(int8, gradients('int8').slice(1))).toBeLessThan(1e-3);
  } finally {
    registerFusedKernels('tensorflow', kernels);
  }
});

/** What does not depend on the clock. */
type Numbers = Pick<StepReport, 'loss' | 'gradNorm' | 'frozen' | 'routerShare'>;

async function train(compile: boolean, batches = BATCHES): Promise<Numbers[]> {
  const adapter = adapterOn(model);
  const optimizer = new AdamW(adapter.trainables, ADAMW_DEFAULTS);
  const reducer = new Reducer(adapter.heads, headsPerSite(adapter.options), {
    ...{ ratio: 0.5, warmup: 2, interval: 2, beta: 0.85, policy: 'topk', temperature: 1, schedule: 'step' },
    ...{ probe: false, minActivePerSite: 0, seed: 1 },
  });
  const step = new TrainingStep(nextTokenObjective(model), adapter, optimizer, reducer, {
    ...{ routerShare: true, recompute: true, seed: 1, compile, precision: 'int8' },
  });
  const reports: Numbers[] = [];
  for (const [i, batch] of batches.entries()) {
    const { loss, gradNorm, frozen, routerShare } = await step.run(i + 1, [batch], 1e-2);
    reports.push({ loss, gradNorm, frozen, routerShare });
  }
  [step, optimizer, adapter].forEach((part) => part.dispose());
  return reports;
}

it('is compiled, gives the numbers of eager code, and each time the same bits', async () => {
  const added = vi.spyOn(GraphBuilder.prototype, 'add');
  const reports = await train(true);
  const names = new Set(added.mock.calls.map(([name]) => name));
  added.mockRestore();
  // what writes a layer's activations, and the gate's gradients, puts them in integers on the way
  const writers = ['StudioRmsNormRounded', 'StudioAttentionRounded', 'StudioGatedRounded', 'StudioGatedGradRounded'];
  for (const name of writers) expect(names).toContain(name);
  expect(await train(true)).toEqual(reports);
  const eager = await train(false);
  reports.forEach(({ loss, gradNorm, frozen }, i) => {
    // compiled, a linear's adapter comes into the same sum: a last bit that rounds another way, which Adam's signs carry on
    expect(Math.abs(loss / eager[i]!.loss - 1)).toBeLessThan(i === 0 ? 1e-4 : 5e-3);
    expect(Math.abs(gradNorm / eager[i]!.gradNorm - 1)).toBeLessThan(i === 0 ? 2e-4 : 5e-2);
    expect(frozen).toEqual(eager[i]!.frozen);
  });
});

it.each(BATCHES.map((batch, i) => [i, batch] as const))(
  'is compiled and gives the numbers of eager code in its first step, on batch %i',
  async (_, batch) => {
    const [[compiled], [eager]] = [await train(true, [batch]), await train(false, [batch])];
    expect(Math.abs(compiled!.loss / eager!.loss - 1)).toBeLessThan(1e-4);
    expect(Math.abs(compiled!.gradNorm / eager!.gradNorm - 1)).toBeLessThan(2e-3);
  },
);

/** Losses of a small run, its widths of 48 in bf16 or f32 beside those in Q8_0. */
async function lossesOn(engine: string, precision: Products): Promise<number[]> {
  const folder = temporary('integers');
  const file = smallRun(folder, { engine, training: { precision, steps: 3, evalSplit: 0 } });
  const losses: number[] = [];
  await trainRun(parseRecipe(fs.readFileSync(file, 'utf8'), file), path.join(folder, 'run'), {
    onEvent: (event) => event.kind === 'metrics' && losses.push(event.line.loss),
  });
  return losses;
}

it('has the same losses on an engine that composes it', async () => {
  const [composed, own, f32] = [
    await lossesOn('cpu', 'int8'),
    await lossesOn('tensorflow', 'int8'),
    await lossesOn('tensorflow', 'f32'),
  ];
  const furthest = (from: number[]) => Math.max(...composed.map((loss, i) => Math.abs(loss / from[i]! - 1)));
  expect(furthest(own)).toBeLessThan(3e-3);
  expect(furthest(f32)).toBeGreaterThan(furthest(own));
});
