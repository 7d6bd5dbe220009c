import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, it } from 'vitest';
import { packBatch } from '../../src-main/data/batches.ts';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../src-main/effilora/adamw.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import { packedKernels, registerPackedKernels } from '../../src-main/engine/frozen.ts';
import type { PackedKernels } from '../../src-main/engine/packed.ts';
import { type Products, withProducts } from '../../src-main/engine/products.ts';
import type { CausalLM } from '../../src-main/models/causal-lm.ts';
import { DECODER_SITES } from '../../src-main/models/types.ts';
import { nextTokenObjective } from '../../src-main/tasks/next-token.ts';
import { microBatchGradients } from '../../src-main/trainer/gradients.ts';
import { TrainingStep } from '../../src-main/trainer/step.ts';
import { options } from '../effilora/support.ts';
import { cpuKernels } from '../support/cpu-kernels.ts';
import { openGpuConfiguration } from '../support/gpu-configuration.ts';
import { shapedModel } from '../support/shaped-model.ts';

let ofCpu: PackedKernels;
beforeAll(async () => void (ofCpu = cpuKernels(await openGpuConfiguration())));

/** A vocabulary whose last block is a shorter one where the head is turned round. */
const SHAPE = {
  layers: 2,
  hidden: 64,
  inner: 96,
  heads: 4,
  keyValueHeads: 2,
  vocabulary: 80,
  weights: 'q4_0',
} as const;
const inputIds = Int32Array.from({ length: 40 }, (_, t) => (t * 7) % 80);
const BATCH = packBatch([{ inputIds, labels: inputIds }], 40);

/** Heads that are not zero, so that gradients flow everywhere. */
function adapterOn(model: CausalLM): Adapter {
  const adapter = new Adapter(model.sites(), options({ targets: [...DECODER_SITES] }), 3);
  for (const { role, variable } of adapter.trainables)
    if (role === 'B') tf.tidy(() => variable.assign(tf.randomNormal(variable.shape, 0, 0.1, 'float32', 3)));
  return adapter;
}

/** The batch's loss, and its gradients one after the other, in eager code. */
function gradients(model: CausalLM, products: Products): { loss: number; all: Float32Array } {
  const objective = nextTokenObjective(model);
  const adapter = adapterOn(model);
  const [loss, ...all] = tf.tidy(() => {
    const passes = { recompute: true, withoutBackward: 0 };
    const [batch, one] = [objective.tensors(BATCH), tf.scalar(1 / (inputIds.length - 1))];
    const found = withProducts(products, () => microBatchGradients(objective, adapter, batch, one, passes));
    return tf.concat([found.loss, ...found.gradients].map((tensor) => tf.reshape(tensor, [-1]))).dataSync();
  });
  adapter.dispose();
  return { loss: loss!, all: Float32Array.from(all) };
}

/** What a model of the shape tells with the processor's kernels. */
async function onCpu<T>(told: (model: CausalLM) => T): Promise<T> {
  const composed = packedKernels()!;
  registerPackedKernels('tensorflow', ofCpu);
  try {
    const model = await shapedModel(SHAPE);
    const found = told(model);
    model.dispose();
    return found;
  } finally {
    registerPackedKernels('tensorflow', composed);
  }
}

/** Steps in integers: losses, and norms of the gradients. */
async function train(model: CausalLM, compile: boolean): Promise<{ losses: number[]; norms: number[] }> {
  const adapter = adapterOn(model);
  const optimizer = new AdamW(adapter.trainables, ADAMW_DEFAULTS);
  const reducer = new Reducer(adapter.heads, adapter.options.heads, {
    ...{ ratio: 0.5, warmup: 2, interval: 1, beta: 0.85, policy: 'topk', temperature: 1, schedule: 'step' },
    ...{ probe: false, minActivePerSite: 0, seed: 1 },
  });
  const warn = (line: string) => expect.fail(line);
  const step = new TrainingStep(nextTokenObjective(model), adapter, optimizer, reducer, {
    ...{ routerShare: false, recompute: true, seed: 1, compile, precision: 'int8', warn },
  });
  const told = { losses: [] as number[], norms: [] as number[] };
  for (let n = 1; n <= 3; n++) {
    const { loss, gradNorm } = await step.run(n, [BATCH], 1e-2);
    told.losses.push(loss);
    told.norms.push(gradNorm);
  }
  [step, optimizer, adapter].forEach((part) => part.dispose());
  return told;
}

const norm = (a: Float32Array) => Math.sqrt(a.reduce((sum, value) => sum + value * value, 0));
const difference = (a: Float32Array, b: Float32Array) => norm(a.map((value, i) => value - b[i]!)) / norm(b);
const furthest = (ours: number[], theirs: number[]) =>
  Math.max(...ours.map((value, i) => Math.abs(value / theirs[i]! - 1)));

it('has in integers, on TensorFlow as a GPU runs it, the loss and gradients of the processor’s kernels', async () => {
  const [expected, inF32] = await onCpu((model) => [gradients(model, 'int8'), gradients(model, 'f32')] as const);
  const model = await shapedModel(SHAPE);
  const ours = gradients(model, 'int8');
  expect(Math.abs(ours.loss / expected.loss - 1)).toBeLessThan(1e-5);
  // a sum's last bit may move a number over a rounding's edge
  expect(difference(ours.all, expected.all)).toBeLessThan(2e-3);
  expect(difference(inF32.all, expected.all)).toBeGreaterThan(1e-2);

  // Later steps follow from a sign of the smallest gradients, which a rounding's edge decides: the first one is held to the other kernels.
  const compiled = await train(model, true);
  expect(Math.abs(compiled.losses[0]! / expected.loss - 1)).toBeLessThan(1e-5);
  expect(Math.abs(compiled.norms[0]! / norm(expected.all) - 1)).toBeLessThan(2e-4);
  expect(Math.abs(norm(inF32.all) / norm(expected.all) - 1)).toBeGreaterThan(1e-3);
  expect(await train(model, true)).toEqual(compiled);
  const eager = await train(model, false);
  expect(furthest(compiled.losses, eager.losses)).toBeLessThan(1e-4);
  expect(furthest(compiled.norms, eager.norms)).toBeLessThan(2e-3);
  model.dispose();
});
