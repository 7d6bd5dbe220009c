import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { randomStream } from '../../src-main/engine/random.ts';
import type { EngineName } from '../../src-main/engine/types.ts';
import { batchTensors, disposeBatch, shiftedLabels, type BatchTensors } from '../../src-main/models/batch.ts';
import type { CausalLM } from '../../src-main/models/causal-lm.ts';
import type { TokenBatch } from '../../src-main/models/types.ts';
import { options } from '../effilora/support.ts';
import { data, largestDifference, loadModel, wholeRow } from './support.ts';

/** Two rows of 20 tokens: two packed examples and padding in the first, one example in the second; a third of the tokens has no label. */
function packedBatch(): TokenBatch {
  const random = randomStream(2, 'batch');
  const inputIds = Int32Array.from({ length: 40 }, () => Math.floor(random() * 96));
  const segments = Int32Array.from({ length: 40 }, (_, i) => (i < 8 || i >= 20 ? 0 : i < 17 ? 1 : -1));
  const positions = Int32Array.from({ length: 40 }, (_, i) => (i < 8 ? i : i < 20 ? i - 8 : i - 20));
  const labels = inputIds.map((id, i) => (segments[i]! < 0 || i % 3 === 0 ? -100 : id));
  return { rows: 2, length: 20, inputIds, labels, positions, segments };
}

function adapterOf(model: CausalLM): Adapter {
  const adapter = new Adapter(model.sites(), options({ targets: ['q_proj', 'v_proj', 'o_proj', 'down_proj'] }), 3);
  for (const { role, variable } of adapter.trainables) {
    if (role !== 'B') continue;
    const start = tf.randomNormal<tf.Rank.R2>(variable.shape, 0, 0.1, 'float32', 9);
    variable.assign(start);
    start.dispose();
  }
  return adapter;
}

function gradients(model: CausalLM, batch: BatchTensors, adapter: Adapter, recompute: boolean | number) {
  const variables = adapter.trainables.map(({ variable }) => variable);
  const { value, grads } = tf.variableGrads(() => model.lossSum(batch, { adaptation: adapter, recompute }), variables);
  const out = { loss: value.dataSync()[0]!, grads: variables.map(({ name }) => grads[name]!.dataSync().slice()) };
  tf.dispose([value, grads] as unknown as tf.TensorContainer);
  return out;
}

describe.each<EngineName>(['tensorflow', 'wasm'])('recomputation on %s', (engine) => {
  beforeAll(async () => void (await openEngine(engine)));

  it.each(['llama-tied', 'qwen3', 'gemma3'])('%s has the same gradients with and without it', async (name) => {
    const model = await loadModel(path.join(data, name));
    const adapter = adapterOf(model);
    const batch = batchTensors(model.config, packedBatch());
    const before = tf.memory().numTensors;
    const plain = gradients(model, batch, adapter, false);
    for (const blocks of [1, 2]) {
      const recomputed = gradients(model, batch, adapter, blocks);
      expect(tf.memory().numTensors).toBe(before);
      expect(recomputed.loss).toBe(plain.loss);
      recomputed.grads.forEach((grad, i) => expect(largestDifference(grad, plain.grads[i]!)).toBeLessThan(1e-5));
    }
    disposeBatch(batch);
    adapter.dispose();
    model.dispose();
  });
});

describe('the loss', () => {
  beforeAll(async () => void (await openEngine('tensorflow')));

  it('has the gradients that finite differences give', async () => {
    const model = await loadModel(path.join(data, 'gemma3'));
    const adapter = adapterOf(model);
    const batch = batchTensors(model.config, packedBatch());
    const { grads } = gradients(model, batch, adapter, true);
    const random = randomStream(6, 'direction');
    // Along a random direction of all of one tensor's entries at once.
    adapter.trainables.forEach(({ variable }, i) => {
      const grad = grads[i] as Float32Array;
      const start = variable.dataSync().slice() as Float32Array;
      const direction = start.map(() => random() - 0.5);
      const lossAt = (step: number) => {
        const moved = tf.tensor2d(
          start.map((value, at) => value + step * direction[at]!),
          variable.shape,
        );
        variable.assign(moved);
        const loss = tf.tidy(() => model.lossSum(batch, { adaptation: adapter }).dataSync()[0]!);
        moved.dispose();
        return loss;
      };
      const step = 1e-2; // smaller ones drown in f32's rounding of the loss
      const measured = (lossAt(step) - lossAt(-step)) / (2 * step);
      lossAt(0);
      const slope = grad.reduce((sum, g, at) => sum + g * direction[at]!, 0);
      const size = Math.sqrt(grad.reduce((sum, g) => sum + g * g, 0) / 12) + 0.1; // a slope's usual size
      expect(Math.abs(slope - measured) / size).toBeLessThan(0.03);
    });
    disposeBatch(batch);
    adapter.dispose();
    model.dispose();
  });

  it('is -log p of each label from the logits, summed over the labels inside a segment', async () => {
    const model = await loadModel(path.join(data, 'qwen2'));
    const host = packedBatch();
    const batch = batchTensors(model.config, host);
    const loss = tf.tidy(() => model.lossSum(batch).dataSync()[0]!);
    const perLabel = await model.labelLogProbabilities(host);
    const logits = model.logits(host);
    const values = logits.dataSync() as Float32Array;
    logits.dispose();
    let expected = 0;
    const labelled = shiftedLabels(host);
    for (const { row, label } of labelled) {
      const at = values.subarray(row * 96, (row + 1) * 96);
      const logProbability = at[label]! - Math.log(at.reduce((sum, value) => sum + Math.exp(value), 0));
      expect(perLabel[row + 1]).toBeCloseTo(logProbability, 4);
      expected -= logProbability;
    }
    // A segment's first token follows nothing.
    expect(labelled.length).toBe(host.labels.filter((l, i) => l >= 0 && i !== 0 && i !== 8 && i !== 20).length);
    expect(batch.labelCount).toBe(labelled.length);
    expect(loss).toBeCloseTo(expected, 3);
    disposeBatch(batch);
    model.dispose();
  });

  it('sees of a packed example what it sees of it alone', async () => {
    const model = await loadModel(path.join(data, 'mistral-window'));
    const host = packedBatch();
    const packed = await model.labelLogProbabilities(host);
    for (const [start, end] of [
      [0, 8],
      [8, 17],
      [20, 40],
    ] as const) {
      // prettier-ignore
      const row = wholeRow(host.inputIds.slice(start, end));
      const alone = await model.labelLogProbabilities({ ...row, labels: host.labels.slice(start, end) });
      alone.forEach((value, i) => expect(packed[start + i]).toBeCloseTo(value, 4));
    }
    model.dispose();
  });
});
