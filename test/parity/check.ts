import * as tf from '@tensorflow/tfjs-core';
import { expect } from 'vitest';
import { fileLayoutOfB } from '../../src-main/effilora/layout.ts';
import { batchTensors, disposeBatch } from '../../src-main/models/batch.ts';
import { microBatchGradients } from '../../src-main/trainer/gradients.ts';
import { error, openCase } from './case.ts';

/** docs/method.md, Reference cases. */
export const LOSS_BOUND = 1e-4;
export const TENSOR_BOUND = 1e-3;

type Case = Awaited<ReturnType<typeof openCase>>;

/** Step 1's gradients by the adapter file's names and in its layout. */
async function firstGradients(
  { model, adapter, batches }: Case,
  recompute: boolean,
): Promise<Map<string, Float32Array>> {
  const batch = batchTensors(model.config, batches[0]!);
  adapter.step = undefined;
  const { gradients, loss } = tf.tidy(() =>
    microBatchGradients(model, adapter, batch, tf.scalar(1 / batch.labelCount), { recompute }),
  );
  const named = adapter.trainables.map(async ({ name, role, shape }, k): Promise<[string, Float32Array]> => {
    const data = (await gradients[k]!.data()) as Float32Array;
    return [name, role === 'B' ? fileLayoutOfB(data, shape[0]!, shape[1]!, shape[2]!) : data];
  });
  const all = new Map(await Promise.all(named));
  tf.dispose([loss, ...gradients]);
  disposeBatch(batch);
  return all;
}

/**
 * A reference case on the engine in use: gradients, losses, importance, frozen sets, final tensors and logits are PyTorch's, whether
 * backward computes the blocks again or has them kept.
 */
export async function checkCase(name: string, recompute = true): Promise<void> {
  const before = tf.memory().numTensors;
  const c = await openCase(name, recompute);
  const gradients = await firstGradients(c, recompute);
  const errors = { gradients: 0, losses: 0, importance: 0, tensors: 0, logits: 0 };
  const worst = (key: keyof typeof errors, value: number) => (errors[key] = Math.max(errors[key], value));
  for (const { name, data } of await c.tensors('grads')) worst('gradients', error(gradients.get(name)!, data));

  let tensors = 0;
  for (const expected of c.trajectory) {
    expect(c.reducer.frozenLayers).toBe(expected.frozenLayers ?? 0);
    const { loss, frozen } = await c.step.run(expected.step, [c.batches[expected.step - 1]!], c.learningRate);
    worst('losses', Math.abs(loss - expected.loss) / expected.loss);
    expect(frozen).toEqual(expected.frozen.map((head) => head.join('.')));
    for (const [head, value] of Object.entries(expected.importance ?? {})) {
      worst('importance', Math.abs(c.reducer.importance[c.adapter.heads.indexOf(head)]! - value) / value);
    }
    for (const [site, rank] of Object.entries(expected.ranks ?? {})) {
      const { variable } = c.adapter.trainables.find(({ name }) => name === `${site}.lambda`)!;
      const left = (await variable.data()).filter((value) => value !== 0).length;
      expect({ step: expected.step, site, rank: left }).toEqual({ step: expected.step, site, rank });
    }
    if (expected.step === 1) tensors = tf.memory().numTensors;
  }
  expect(tf.memory().numTensors).toBe(tensors);

  const final = new Map((await c.adapter.export()).map((tensor) => [tensor.name, tensor]));
  const wanted = await c.tensors('final');
  expect([...final.keys()].sort()).toEqual(wanted.map((tensor) => tensor.name).sort());
  for (const { name, shape, data } of wanted) {
    expect(final.get(name)!.shape).toEqual(shape);
    worst('tensors', error(final.get(name)!.data, data));
  }
  const logits = c.model.logits(c.batches[0]!, { adaptation: c.adapter });
  worst('logits', error((await logits.data()) as Float32Array, (await c.tensors('final_logits'))[0]!.data));
  logits.dispose();
  c.dispose();
  expect(tf.memory().numTensors).toBe(before);
  if (process.env.PARITY_ERRORS) console.log(tf.getBackend(), name, JSON.stringify(errors));
  expect(errors.gradients).toBeLessThan(TENSOR_BOUND);
  expect(errors.losses).toBeLessThan(LOSS_BOUND);
  expect(errors.importance).toBeLessThan(TENSOR_BOUND);
  expect(errors.tensors).toBeLessThan(TENSOR_BOUND);
  expect(errors.logits).toBeLessThan(TENSOR_BOUND);
}
