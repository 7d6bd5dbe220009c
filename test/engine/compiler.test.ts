import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import '../../src-main/engine/gradients.ts';
import { attention } from '../../src-main/engine/attention.ts';
import { DeviceError } from '../../src-main/engine/device-error.ts';
import { fullAttention } from '../../src-main/engine/full-attention.ts';
import { activated, layerNorm } from '../../src-main/engine/fused.ts';
import { fusedKernels, registerFusedKernels } from '../../src-main/engine/fused-kernels.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { type Precision, stepCompiler } from '../../src-main/engine/compiler.ts';
import {
  type Batch,
  inMemory,
  json,
  loadAdapter,
  loadModel,
  lossOf,
  readBatches,
  SITES,
  tensorsOf,
  type Trainables,
  trainStep,
} from './tiny-llama.ts';

interface Step {
  step: number;
  loss: number;
  frozen: [number, string, number][];
}

const batches = readBatches();
const trajectory = json<Step[]>('trajectory.json');
const LEARNING_RATE = 0.01;

beforeAll(() => openEngine('tensorflow'));

/** What a step is fed: the batch, the heads that learn, and AdamW's rows with every head's own step count. */
function inputs(names: string[], stepIndex: number, counts: Map<string, number>) {
  const { ids, labels } = batches[stepIndex]!;
  const frozen = new Set(trajectory[stepIndex]!.frozen.map((head) => head.join('.')));
  const active = Array.from({ length: 3 }, (_, layer) =>
    SITES.map((site) => Float32Array.from([0, 1, 2], (head) => (frozen.has(`${layer}.${site}.${head}`) ? 0 : 1))),
  ).flat();
  const rows = names.map((name) => {
    const site = /^layers\.(\d+)\.(\w+)\.B$/.exec(name);
    const heads = site ? [0, 1, 2].map((head) => `${site[1]}.${site[2]}.${head}`) : [name];
    return Float32Array.from(
      heads.flatMap((head) => {
        if (frozen.has(head)) return [0, 1, 1, 1];
        const count = (counts.get(head) ?? 0) + 1;
        counts.set(head, count);
        return [LEARNING_RATE, 1 / (1 - 0.9 ** count), 1 / (1 - 0.999 ** count), 1];
      }),
    );
  });
  return { ids, labels, segments: Int32Array.from(ids, () => 0), active, rows };
}

function asTensors({ ids, labels, segments, active, rows }: ReturnType<typeof inputs>): {
  batch: Batch;
  rows: Tensor2D[];
} {
  const int = (values: Int32Array) => tf.tensor1d(values, 'int32');
  return {
    batch: { ids: int(ids), labels: int(labels), segments: int(segments), active: active.map((a) => tf.tensor1d(a)) },
    rows: rows.map((r) => tf.tensor2d(r, [r.length / 4, 4])),
  };
}

const zerosLike = (variables: tf.Variable[]) => variables.map((variable) => tf.variable(tf.zeros(variable.shape)));

async function compiled(model: Map<string, Tensor>, adapter: Trainables, precision: Precision) {
  const moments: [tf.Variable[], tf.Variable[]] = [zerosLike(adapter.variables), zerosLike(adapter.variables)];
  const { batch, rows } = asTensors(inputs(adapter.names, 0, new Map()));
  const feeds = [batch.ids, batch.labels, batch.segments, ...batch.active, ...rows];
  const state = [...adapter.variables, ...moments[0], ...moments[1]];
  const step = () => trainStep(model, adapter, moments, batch, rows);
  return stepCompiler()!.compile({ feeds, state, step, precision });
}

async function losses(precision: Precision): Promise<{ losses: number[]; adapter: Trainables }> {
  const adapter = loadAdapter();
  const step = await compiled(loadModel(), adapter, precision);
  const counts = new Map<string, number>();
  const result: number[] = [];
  for (let i = 0; i < batches.length; i++) {
    const { ids, labels, segments, active, rows } = inputs(adapter.names, i, counts);
    result.push((await step.run([ids, labels, segments, ...active, ...rows]))[0]![0]!);
  }
  return { losses: result, adapter };
}

/** Largest difference over the largest magnitude of the expected. */
function deviation(actual: Float32Array, expected: Float32Array): number {
  const largest = expected.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  return expected.reduce((a, b, i) => Math.max(a, Math.abs(actual[i]! - b)), 0) / largest;
}

describe('a compiled step', () => {
  it('that asks for more memory than there is says what to lower, and the session goes on', async () => {
    const x = tf.tensor1d([1]);
    const compiled = (step: () => Tensor) =>
      stepCompiler()!.compile({ feeds: [x], state: [], step: () => ({ outputs: [step()], updates: [] }), precision: 'f32' }); // prettier-ignore
    const huge = await compiled(() => tf.sum(tf.tile(tf.reshape(x, [1, 1]), [2 ** 22, 2 ** 24])));
    // Asked once: TensorFlow waits ten seconds for memory that others may give back.
    const error = await huge.run([Float32Array.of(1)]).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DeviceError);
    expect((error as Error).message).toMatch(/memory of this machine ran out: lower training\.batch/);
    const small = await compiled(() => tf.mul(x, 2));
    expect((await small.run([Float32Array.of(4)]))[0]![0]).toBe(8);
  });

  it("follows PyTorch's losses and ends at its tensors, frozen heads changing on the way", async () => {
    const { losses: actual, adapter } = await losses('f32');
    actual.forEach((loss, i) => expect(Math.abs(loss / trajectory[i]!.loss - 1)).toBeLessThan(1e-4));
    for (const [name, { shape, data }] of tensorsOf('final.safetensors')) {
      const expected = tf.tidy(() => inMemory(name, shape, data).dataSync() as Float32Array);
      expect(deviation(adapter.get(name).dataSync() as Float32Array, expected), name).toBeLessThan(1e-3);
    }
  });

  it('stays near the f32 losses in bf16', async () => {
    const { losses: actual } = await losses('bf16');
    actual.forEach((loss, i) => expect(Math.abs(loss / trajectory[i]!.loss - 1)).toBeLessThan(0.01));
  });

  it('gives the same numbers without our own kernels', async () => {
    const kernels = fusedKernels();
    registerFusedKernels('tensorflow', undefined);
    try {
      const { losses: actual } = await losses('f32');
      actual.forEach((loss, i) => expect(Math.abs(loss / trajectory[i]!.loss - 1)).toBeLessThan(1e-4));
    } finally {
      registerFusedKernels('tensorflow', kernels);
    }
  });

  it('sees what eager code writes into a variable, and eager code sees what the step wrote', async () => {
    const adapter = loadAdapter();
    const step = await compiled(loadModel(), adapter, 'f32');
    const first = inputs(adapter.names, 0, new Map());
    const feeds = [first.ids, first.labels, first.segments, ...first.active, ...first.rows];
    const [before] = await step.run(feeds);
    const doubled = adapter.variables.map((variable) => tf.mul(variable, 2).dataSync());
    adapter.variables.forEach((variable, i) => expect(variable.dataSync()[0]! * 2).toBeCloseTo(doubled[i]![0]!, 5));
    for (const [name, { shape, data }] of tensorsOf('init.safetensors'))
      tf.tidy(() => adapter.get(name).assign(inMemory(name, shape, data)));
    const [again] = await step.run(feeds);
    expect(again![0]).toBeCloseTo(before![0]!, 5);
  });

  it('keeps the tensors outside alive and leaves none behind', async () => {
    const adapter = loadAdapter();
    const model = loadModel();
    const moments: [tf.Variable[], tf.Variable[]] = [zerosLike(adapter.variables), zerosLike(adapter.variables)];
    const { batch, rows } = asTensors(inputs(adapter.names, 0, new Map()));
    const before = tf.memory().numTensors;
    await stepCompiler()!.compile({
      feeds: [batch.ids, batch.labels, batch.segments, ...batch.active, ...rows],
      state: [...adapter.variables, ...moments[0], ...moments[1]],
      step: () => trainStep(model, adapter, moments, batch, rows),
      precision: 'f32',
    });
    expect(tf.memory().numTensors).toBe(before);
    const norm = model.get('model.norm.weight')!.dataSync();
    expect(deviation(norm as Float32Array, tensorsOf('model/model.safetensors').get('model.norm.weight')!.data)).toBe(
      0,
    );
  });

  it('says which operation it cannot record', async () => {
    const x = tf.tensor1d([1, 2, 3]);
    const step = () => ({ outputs: [tf.tensor1d(x.dataSync())] as Tensor[], updates: [] });
    await expect(stepCompiler()!.compile({ feeds: [x], state: [], step, precision: 'f32' })).rejects.toThrow(
      /value was read/,
    );
  });
});

describe('fused kernels', () => {
  it("give PyTorch's gradients eagerly, and the compositions'", () => {
    const adapter = loadAdapter();
    const { batch } = asTensors(inputs(adapter.names, 0, new Map()));
    const model = loadModel();
    const gradients = () => tf.variableGrads(() => lossOf(model, adapter, batch), adapter.variables).grads;
    const fused = gradients();
    const kernels = fusedKernels();
    registerFusedKernels('tensorflow', undefined);
    const composed = gradients();
    registerFusedKernels('tensorflow', kernels);
    for (const [name, { shape, data }] of tensorsOf('grads.safetensors')) {
      const expected = tf.tidy(() => inMemory(name, shape, data).dataSync() as Float32Array);
      const variable = adapter.get(name).name;
      expect(deviation(fused[variable]!.dataSync() as Float32Array, expected), name).toBeLessThan(1e-3);
      expect(deviation(composed[variable]!.dataSync() as Float32Array, expected), name).toBeLessThan(1e-3);
    }
  });

  it.each([
    { window: undefined, size: 8 },
    { window: 70, size: 8 },
    { window: undefined, size: 64 },
    { window: 70, size: 96 },
  ])('attend inside segments (window $window, heads of $size)', ({ window, size }) => {
    // 2 rows of 150 tokens: whole blocks, cut blocks, padding, and segments that begin inside a block
    const [rows, length, heads, keyValueHeads] = [2, 150, 4, 2];
    const segments = tf.tensor1d(
      Int32Array.from({ length: rows * length }, (_, t) => {
        const i = t % length;
        return t < length ? (i < 40 ? 0 : i < 130 ? 1 : -1) : 0;
      }),
      'int32',
    ) as Tensor1D;
    const random = (width: number, seed: number) =>
      tf.randomNormal([rows * length, width], 0, 1, 'float32', seed) as Tensor2D;
    const q = random(heads * size, 1);
    const k = random(keyValueHeads * size, 2);
    const v = random(keyValueHeads * size, 3);
    const weight = random(heads * size, 4);
    const run = () => {
      const options = { length, heads, keyValueHeads, scale: size ** -0.5, window };
      const f = (...x: Tensor[]) => {
        const out = attention(x[0] as Tensor2D, x[1] as Tensor2D, x[2] as Tensor2D, segments, options);
        return tf.sum(tf.mul(out, weight)) as tf.Scalar;
      };
      const { value, grads } = tf.valueAndGrads(f)([q, k, v]);
      return [value, ...grads].map((tensor) => tensor.dataSync() as Float32Array);
    };
    expectComposed(run);
  });

  it.each([
    { queries: 150, keys: 77, heads: 4, size: 40 },
    { queries: 20, keys: 130, heads: 2, size: 32 },
    { queries: 100, keys: 100, heads: 1, size: 512 },
  ])('attend to all of a row ($queries to $keys, heads of $size)', ({ queries, keys, heads, size }) => {
    const rows = 2;
    // seeds from 1: TensorFlow.js takes a 0 for none
    const random = (tokens: number, index: number) =>
      tf.randomNormal([rows * tokens, heads * size], 0, 1, 'float32', index + 1) as Tensor2D;
    const [q, k, v, weight] = [queries, keys, keys, queries].map(random) as [Tensor2D, Tensor2D, Tensor2D, Tensor2D];
    const attend = (...x: Tensor[]) => {
      const [q2, k2, v2] = x as [Tensor2D, Tensor2D, Tensor2D];
      return tf.sum(tf.mul(fullAttention(q2, k2, v2, rows, heads), weight)) as tf.Scalar;
    };
    expectComposed(() => {
      const { value, grads } = tf.valueAndGrads(attend)([q, k, v]);
      return [value, ...grads].map((tensor) => tensor.dataSync() as Float32Array);
    });
  });

  it.each(['silu', 'gelu', 'gelu_tanh', 'quick_gelu', 'norm'] as const)('%s, and its slope', (kind) => {
    const x = tf.mul(3, tf.randomNormal([5, 1037], 0, 1, 'float32', 1)) as Tensor2D;
    const [weight, bias, slope] = [2, 3, 4].map((seed) => tf.randomNormal([1037], 0, 1, 'float32', seed) as Tensor1D);
    const f = (input: Tensor2D) =>
      kind === 'norm' ? layerNorm(input, { weight: weight!, bias: bias! }, 1e-5) : activated(input, kind);
    expectComposed(() => {
      const { value, grad } = tf.valueAndGrad((input) => tf.sum(tf.mul(f(input as Tensor2D), slope!)) as tf.Scalar)(x);
      return [f(x), value, grad].map((tensor) => tensor.dataSync() as Float32Array);
    });
  });
});

/** Our own kernels give what the composition of TensorFlow's operations gives. */
function expectComposed(run: () => Float32Array[]): void {
  const fused = run();
  const kernels = fusedKernels();
  registerFusedKernels('tensorflow', undefined);
  const composed = run();
  registerFusedKernels('tensorflow', kernels);
  composed.forEach((expected, i) => expect(deviation(fused[i]!, expected)).toBeLessThan(1e-4));
}
