import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { attention } from '../../src-main/engine/attention.ts';
import { linearCrossEntropy } from '../../src-main/engine/cross-entropy.ts';
import { gated, mixture, productAdd, rmsNorm, rotary } from '../../src-main/engine/fused.ts';
import { fusedKernels } from '../../src-main/engine/fused-kernels.ts';

const folder = fileURLToPath(new URL('../parity/case-a/', import.meta.url));
export const json = <T>(name: string) => JSON.parse(fs.readFileSync(folder + name, 'utf8')) as T;

/** Every tensor of a safetensors file (f32), read without the product's own reader. */
export function tensorsOf(name: string): Map<string, { shape: number[]; data: Float32Array }> {
  const bytes = fs.readFileSync(folder + name);
  const length = Number(bytes.readBigUInt64LE(0));
  type Entry = { shape: number[]; data_offsets: [number, number] };
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<string, Entry>;
  return new Map(
    Object.entries(header)
      .filter(([key]) => key !== '__metadata__')
      .map(([key, { shape, data_offsets }]) => {
        const [start, end] = data_offsets.map((offset) => 8 + length + offset) as [number, number];
        return [
          key,
          { shape, data: new Float32Array(bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + end)) },
        ];
      }),
  );
}

export const SITES = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;
const [LAYERS, HEADS, KEY_VALUE_HEADS, SIZE, ROWS, LENGTH] = [3, 4, 2, 16, 2, 24];
const [RANK, N, SCALE] = [4, 3, 2];

/** The frozen model of the reference case: linears as [in, out]. */
export function loadModel(): Map<string, Tensor> {
  const model = new Map<string, Tensor>();
  for (const [name, { shape, data }] of tensorsOf('model/model.safetensors')) {
    const tensor = tf.tensor(data, shape);
    model.set(name, tf.keep(name.includes('_proj') ? tf.transpose(tensor) : tensor));
  }
  return model;
}

export interface Trainables {
  names: string[];
  variables: tf.Variable[];
  get(name: string): tf.Variable;
}

/** The adapter's start; a B [N, out, r] is kept as [N r, out]. */
export function loadAdapter(): Trainables {
  const tensors = [...tensorsOf('init.safetensors')];
  const variables = tensors.map(([name, { shape, data }]) => tf.variable(tf.tidy(() => inMemory(name, shape, data))));
  const byName = new Map(tensors.map(([name], i) => [name, variables[i]!]));
  return { names: [...byName.keys()], variables, get: (name) => byName.get(name)! };
}

/** A tensor of the reference's files in memory layout. */
export function inMemory(name: string, shape: number[], data: Float32Array): Tensor {
  const tensor = tf.tensor(data, shape);
  return name.endsWith('.B') ? tf.reshape(tf.transpose(tensor, [0, 2, 1]), [shape[0]! * shape[2]!, shape[1]!]) : tensor;
}

export interface Batch {
  ids: Tensor1D;
  /** shifted by one inside each row; -1 where there is none */
  labels: Tensor1D;
  segments: Tensor1D;
  /** by layer and site, [N] */
  active: Tensor1D[];
}

export function readBatches(): { ids: Int32Array; labels: Int32Array }[] {
  const lines = fs
    .readFileSync(folder + 'batches.jsonl', 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => {
    const { input_ids, labels } = JSON.parse(line) as { input_ids: number[][]; labels: number[][] };
    const shifted = labels.map((row) => [...row.slice(1), -100].map((label) => (label === -100 ? -1 : label)));
    return { ids: Int32Array.from(input_ids.flat()), labels: Int32Array.from(shifted.flat()) };
  });
}

/** Mean loss over the label tokens. */
export function lossOf(model: Map<string, Tensor>, adapter: Trainables, batch: Batch): tf.Scalar {
  return tf.tidy(() => {
    const [cos, sin] = angles();
    const norm = (x: Tensor2D, name: string) => rmsNorm(x, model.get(name) as Tensor1D, 1e-5);
    let x = tf.gather(model.get('model.embed_tokens.weight')!, batch.ids) as Tensor2D;
    for (let layer = 0; layer < LAYERS; layer++) {
      const linear = (input: Tensor2D, site: (typeof SITES)[number]) => {
        const block = SITES.indexOf(site) < 4 ? 'self_attn' : 'mlp';
        const weight = model.get(`model.layers.${layer}.${block}.${site}.weight`) as Tensor2D;
        const shared = adapter.get(`shared.A.${weight.shape[0]}`);
        const router = adapter.get(`layers.${layer}.${site}.router`);
        const mixed = tf.matMul(input, tf.concat([shared, router], 0) as Tensor2D, false, true) as Tensor2D;
        const b = adapter.get(`layers.${layer}.${site}.B`) as unknown as Tensor2D;
        const active = batch.active[layer * SITES.length + SITES.indexOf(site)];
        return productAdd(tf.matMul(input, weight) as Tensor2D, mixture(mixed, RANK, N), b, SCALE, active);
      };
      const h = norm(x, `model.layers.${layer}.input_layernorm.weight`);
      const q = rotary(linear(h, 'q_proj'), cos, sin, HEADS);
      const k = rotary(linear(h, 'k_proj'), cos, sin, KEY_VALUE_HEADS);
      const options = {
        length: LENGTH,
        heads: HEADS,
        keyValueHeads: KEY_VALUE_HEADS,
        scale: SIZE ** -0.5,
      };
      const o = attention(q, k, linear(h, 'v_proj'), batch.segments, options);
      x = tf.add(x, linear(o, 'o_proj'));
      const h2 = norm(x, `model.layers.${layer}.post_attention_layernorm.weight`);
      x = tf.add(x, linear(gated(linear(h2, 'gate_proj'), linear(h2, 'up_proj'), 'silu'), 'down_proj'));
    }
    const embedding = model.get('model.embed_tokens.weight') as Tensor2D;
    const sum = linearCrossEntropy(norm(x, 'model.norm.weight'), embedding, true, batch.labels, 20);
    return tf.div(sum, tf.sum(tf.cast(tf.greaterEqual(batch.labels, 0), 'float32'))) as tf.Scalar;
  });
}

function angles(): [Tensor2D, Tensor2D] {
  const position = tf.reshape(tf.tile(tf.range(0, LENGTH, 1, 'float32'), [ROWS]), [ROWS * LENGTH, 1]);
  const frequencies = Array.from({ length: SIZE / 2 }, (_, i) => 10000 ** ((-2 * i) / SIZE));
  const angle = tf.matMul(position as Tensor2D, tf.tensor2d([frequencies]));
  return [tf.cos(angle) as Tensor2D, tf.sin(angle) as Tensor2D];
}

/** One AdamW step as a pure function; `rows` [blocks, 4] of every trainable as the fused kernel wants them. */
export function trainStep(
  model: Map<string, Tensor>,
  adapter: Trainables,
  moments: [tf.Variable[], tf.Variable[]],
  batch: Batch,
  rows: Tensor2D[],
): { outputs: Tensor[]; updates: Tensor[] } {
  const { value, grads } = tf.variableGrads(() => lossOf(model, adapter, batch), adapter.variables);
  const updates: Tensor[][] = [[], [], []];
  const norm = tf.sqrt(tf.addN(adapter.variables.map(({ name }) => tf.sum(tf.square(grads[name]!))))) as tf.Scalar;
  adapter.variables.forEach((p, i) => {
    const g = grads[p.name]!;
    const options = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, clipNorm: 0 };
    const kernels = fusedKernels();
    const [m, v] = [moments[0][i]!, moments[1][i]!];
    const next = kernels ? kernels.adamw([p, m, v], g, rows[i]!, norm, options) : adamwComposed(p, m, v, g, rows[i]!);
    next.forEach((tensor, k) => updates[k]!.push(tensor));
  });
  return { outputs: [value], updates: updates.flat() };
}

function adamwComposed(p: Tensor, m: Tensor, v: Tensor, g: Tensor, rows: Tensor2D): [Tensor, Tensor, Tensor] {
  const flat = (x: Tensor) => tf.reshape(x, [rows.shape[0], -1]);
  const [rate, c1, c2] = tf.split(rows, 4, 1) as [Tensor, Tensor, Tensor, Tensor];
  const moving = tf.cast(tf.greater(rate, 0), 'float32');
  const mix = (old: Tensor, next: Tensor, beta: number) =>
    tf.add(old, tf.mul(tf.mul(tf.sub(next, old), 1 - beta), moving));
  const m1 = mix(flat(m), flat(g), 0.9);
  const v1 = mix(flat(v), tf.square(flat(g)), 0.999);
  const step = tf.div(tf.mul(m1, c1), tf.add(tf.sqrt(tf.mul(v1, c2)), 1e-8));
  return [tf.sub(flat(p), tf.mul(step, rate)), m1, v1].map((x) => tf.reshape(x, p.shape)) as [Tensor, Tensor, Tensor];
}
