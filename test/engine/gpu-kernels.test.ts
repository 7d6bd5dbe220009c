import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { packBatch } from '../../src-main/data/batches.ts';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../src-main/effilora/adamw.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import type { AdapterOptions } from '../../src-main/effilora/types.ts';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { stepCompiler } from '../../src-main/engine/compiler.ts';
import { frozenProduct, frozenRows, packedKernels } from '../../src-main/engine/frozen.ts';
import { withIntegerProducts } from '../../src-main/engine/integer-product.ts';
import { PackedMatrix } from '../../src-main/engine/packed.ts';
import type { Products } from '../../src-main/engine/products.ts';
import { type Addon, AttributeType } from '../../src-main/engine/tensorflow/addon.ts';
import { integerLossInPieces } from '../../src-main/engine/integer-loss.ts';
import { lossInPieces } from '../../src-main/engine/loss-in-pieces.ts';
import type { CausalLM } from '../../src-main/models/causal-lm.ts';
import { FileReader } from '../../src-main/models/file-reader.ts';
import { generate } from '../../src-main/models/generate.ts';
import { readGgufHeader } from '../../src-main/models/gguf/header.ts';
import { GGML_TYPES, type GgmlType } from '../../src-main/models/gguf/types.ts';
import { nextTokenObjective } from '../../src-main/tasks/next-token.ts';
import { TrainingStep } from '../../src-main/trainer/step.ts';
import { options } from '../effilora/support.ts';
import { data } from '../models/support.ts';
import { openGpuConfiguration } from '../support/gpu-configuration.ts';
import { shapedModel } from '../support/shaped-model.ts';
import { loadedFilter, SAME, thereAndBack } from './filters.ts';

/** By operation, the types that its kernels for GPUs take (cuda/make_kernels.py); an attribute that is left out is any. */
type Kernels = Record<string, { types: Record<string, number[]> }[]>;
const file = fileURLToPath(new URL('cuda/kernels.json', import.meta.url));
const { kernels } = JSON.parse(fs.readFileSync(file, 'utf8')) as { kernels: Kernels };

/** An operation that went into a graph that runs: what it is, and its types as far as they were said. */
interface Put {
  operation: string;
  types: Record<string, number>;
}

const put = new Map<string, Put>();

beforeAll(async () => {
  const { addon } = (await openGpuConfiguration()) as unknown as { addon: Addon };
  const running = new WeakSet<object>();
  const { openSession, addNode } = addon;
  addon.openSession = (graph, configuration) => {
    running.add(graph);
    openSession(graph, configuration);
  };
  addon.addNode = (...given) => {
    const [graph, operation, , attributes] = given;
    const added = addNode(...given);
    if (!running.has(graph)) return added;
    const said = attributes.flatMap(({ name, type, value }) =>
      type === AttributeType.type ? [[name, value as number] as const] : [],
    );
    // Where nothing is said, T is what comes out, but for comparisons.
    const out = added.outputs[0]?.dtype;
    const types = { ...(out === undefined || out === 10 ? {} : { T: out }), ...Object.fromEntries(said) };
    put.set(`${operation} ${JSON.stringify(types)}`, { operation, types });
    return added;
  };
});

/** What has no kernel for its types. */
const lacking = () =>
  [...put].flatMap(([key, { operation, types }]) => {
    const fits = kernels[operation]?.some((kernel) =>
      Object.entries(kernel.types).every(([name, able]) => !(name in types) || able.length === 0 || able.includes(types[name]!)),
    ); // prettier-ignore
    return fits ? [] : [key];
  });

/** Trains two steps, evaluates and answers. */
async function everything(model: CausalLM, changes: Partial<AdapterOptions>, precision: Products): Promise<void> {
  const adapter = new Adapter(model.sites(), options({ targets: ['q_proj', 'v_proj', 'down_proj'], ...changes }), 1);
  const optimizer = new AdamW(adapter.trainables, ADAMW_DEFAULTS);
  const reducer = new Reducer(adapter.heads, adapter.options.heads, {
    ...{ ratio: 0.5, warmup: 1, interval: 1, beta: 0.85, policy: 'topk', temperature: 1, schedule: 'step' },
    ...{ probe: true, minActivePerSite: 0, seed: 1 },
  });
  const warnings: string[] = [];
  const step = new TrainingStep(nextTokenObjective(model), adapter, optimizer, reducer, {
    ...{ routerShare: true, recompute: true, seed: 1, precision, warn: (line: string) => void warnings.push(line) },
  });
  const inputIds = Int32Array.from({ length: 40 }, (_, t) => (t * 7) % 64);
  const batch = packBatch([{ inputIds, labels: inputIds }], 40);
  await step.run(1, [batch], 1e-3);
  await step.run(2, [batch, batch], 1e-3);
  expect(warnings).toEqual([]);
  const products = precision === 'int8' ? precision : 'f32';
  await model.labelLogProbabilities(batch, { adaptation: adapter });
  for await (const token of generate(model, inputIds, { maxTokens: 2, stop: [], adaptation: adapter, products }))
    expect(token.id).toBeGreaterThanOrEqual(0);
  [step, optimizer, adapter].forEach((part) => part.dispose());
}

describe('every operation has a kernel for GPUs in the wheel for CUDA', () => {
  const shape = { layers: 2, hidden: 64, inner: 128, heads: 4, keyValueHeads: 2, vocabulary: 64 };

  it.each<[weights: 'f32' | 'q4_0', precision: Products, changes: Partial<AdapterOptions>]>([
    ['q4_0', 'f32', { dropout: 0.1 }],
    ['q4_0', 'bf16', {}],
    ['f32', 'bf16', { name: 'lora', heads: 1 }],
    ['f32', 'f32', { dora: true }],
    ['q4_0', 'int8', {}],
    ['f32', 'int8', { dora: true }],
  ])('of training, evaluation and answers with %s weights, products in %s, %o', async (weights, precision, changes) => {
    put.clear();
    await everything(await shapedModel({ ...shape, weights }), changes, precision);
    expect(put.size).toBeGreaterThan(40);
    expect(lacking()).toEqual([]);
  });

  it('of products with weights in every kind of blocks', async () => {
    put.clear();
    const reader = await FileReader.open(path.join(data, 'every-type.gguf'));
    const { tensors } = await readGgufHeader(reader);
    await reader.close();
    for (const type of ['q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q4_k', 'q5_k', 'q6_k', 'f16', 'bf16'] as GgmlType[]) {
      const { offset, shape: size } = tensors.get(`${type}.weight`)!;
      const [rows, width] = size as [number, number];
      const format = GGML_TYPES[type].id;
      const source = { path: path.join(data, 'every-type.gguf'), offset, format, rows, width };
      const weight = await PackedMatrix.load(packedKernels()!, source, format);
      const feeds = [tf.ones<tf.Rank.R2>([3, width]), tf.zeros<tf.Rank.R1>([3], 'int32')] as const;
      const both = (x: Tensor2D) => [frozenProduct(x, weight), withIntegerProducts(() => frozenProduct(x, weight))];
      const step = () => ({ outputs: [...both(feeds[0]), frozenRows(weight, feeds[1])], updates: [] });
      await stepCompiler()!.compile({ feeds: [...feeds], state: [], precision: 'f32', owner: weight, step });
    }
    expect([...put.values()].map(({ operation }) => operation)).toContain('BitwiseAnd');
    expect(lacking()).toEqual([]);
  });

  it('of a loss over some words at a time', async () => {
    put.clear();
    const [x, weight] = [tf.ones<tf.Rank.R2>([3, 32]), tf.keep(tf.ones<tf.Rank.R2>([64, 32]))];
    const labels = tf.zeros<tf.Rank.R1>([3], 'int32');
    const between = (from: number, to: number) => tf.slice(weight, [from, 0], [to - from, -1]);
    const head = { shape: weight.shape, between, rows: (ids: tf.Tensor1D) => tf.gather(weight, ids) };
    const step = () => ({
      outputs: [...lossInPieces(x, head, labels, 16), ...integerLossInPieces(x, head, false, labels, 32)],
      updates: [],
    });
    await stepCompiler()!.compile({ feeds: [x, labels], state: [], precision: 'f32', step });
    expect([...put.values()].filter(({ operation }) => operation === 'Maximum').length).toBeGreaterThan(0);
    expect(lacking()).toEqual([]);
  });

  it('of convolutions with filters in half precision', async () => {
    put.clear();
    const { matrix, kernel } = await loadedFilter([['f16', 'f16'], [1, 8, 8, 16, 16], SAME]);
    const [x, along] = [tf.ones<tf.Rank.R4>([1, 8, 8, 16]), tf.ones<tf.Rank.R4>([1, 8, 8, 16])];
    const step = () => ({ outputs: thereAndBack({ matrix, kernel }, SAME, x, along), updates: [] });
    await stepCompiler()!.compile({ feeds: [x, along], state: [], precision: 'f32', owner: matrix, step });
    const operations = [...put.values()].map(({ operation }) => operation);
    expect(operations).toEqual(expect.arrayContaining(['Bitcast', 'Transpose', 'Conv2D', 'Conv2DBackpropInput']));
    expect(lacking()).toEqual([]);
  });

  it('is told of one that has none', () => {
    put.clear();
    put.set('Slice of bytes', { operation: 'Slice', types: { T: 4 } });
    put.set('ours', { operation: 'StudioRmsNorm', types: {} });
    expect(lacking()).toEqual(['Slice of bytes', 'ours']);
  });
});
