import '../support/software-gpu.ts';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileLayoutOfB } from '../../src-main/effilora/layout.ts';
import { listEngines, openEngine } from '../../src-main/engine/index.ts';
import { openWebgpu } from '../../src-main/engine/webgpu/open.ts';
import { batchTensors, disposeBatch } from '../../src-main/models/batch.ts';
import { microBatchGradients } from '../../src-main/trainer/gradients.ts';
import { error, openCase, rowsOf } from './case.ts';

/** METHOD.md, Reference cases. */
const LOSS_BOUND = 1e-4;
const TENSOR_BOUND = 1e-3;

const here = path.dirname(fileURLToPath(import.meta.url));
const cases = readdirSync(here, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith('_'))
  .map((entry) => entry.name);
const engines = (await listEngines()).filter(({ available }) => available).map(({ name }) => name);

type Case = Awaited<ReturnType<typeof openCase>>;

/** Step 1's gradients by the adapter file's names and in its layout. */
async function firstGradients({ model, adapter, batches }: Case): Promise<Map<string, Float32Array>> {
  const batch = batchTensors(model.config, batches[0]!);
  adapter.step = undefined;
  const { gradients, loss } = tf.tidy(() =>
    microBatchGradients(model, adapter, batch, tf.scalar(1 / batch.labelCount), true),
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

describe.each(engines)('PyTorch on %s', (engine) => {
  beforeAll(async () => {
    await openEngine(engine);
  });
  afterAll(async () => {
    if (engine === 'webgpu') expect((await openWebgpu()).opened.log).toEqual([]);
  });

  it.each(cases)('%s: gradients, losses, importance, frozen sets, final tensors and logits', async (name) => {
    const before = tf.memory().numTensors;
    const c = await openCase(name);
    const gradients = await firstGradients(c);
    const errors = { gradients: 0, losses: 0, importance: 0, tensors: 0, logits: 0 };
    const worst = (key: keyof typeof errors, value: number) => (errors[key] = Math.max(errors[key], value));
    for (const { name, data } of await c.tensors('grads')) worst('gradients', error(gradients.get(name)!, data));

    let tensors = 0;
    for (const expected of c.trajectory) {
      const { loss, frozen } = await c.step.run(expected.step, [c.batches[expected.step - 1]!], c.learningRate);
      worst('losses', Math.abs(loss - expected.loss) / expected.loss);
      expect(frozen).toEqual(expected.frozen.map((head) => head.join('.')));
      for (const [head, value] of Object.entries(expected.importance ?? {})) {
        worst('importance', Math.abs(c.reducer.importance[c.adapter.heads.indexOf(head)]! - value) / value);
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
    if (process.env.PARITY_ERRORS) console.log(engine, name, JSON.stringify(errors));
    expect(errors.gradients).toBeLessThan(TENSOR_BOUND);
    expect(errors.losses).toBeLessThan(LOSS_BOUND);
    expect(errors.importance).toBeLessThan(TENSOR_BOUND);
    expect(errors.tensors).toBeLessThan(TENSOR_BOUND);
    expect(errors.logits).toBeLessThan(TENSOR_BOUND);
  });

  it('a step in micro-batches of unequal weight is the step on the whole batch', async () => {
    // and with two blocks at a time computed again in backward
    const c = await openCase('clip-and-decay', 2);
    for (const { step, loss: expected } of c.trajectory) {
      const { loss, routerShare } = await c.step.run(step, rowsOf(c.batches[step - 1]!), c.learningRate);
      expect(Math.abs(loss - expected) / expected).toBeLessThan(LOSS_BOUND);
      const site = routerShare!.slice(0, 3);
      expect(site[0]! + site[1]! + site[2]!).toBeCloseTo(1, 5);
    }
    for (const { name, data } of await c.tensors('final')) {
      const got = (await c.adapter.export()).find((tensor) => tensor.name === name)!;
      expect(error(got.data, data)).toBeLessThan(TENSOR_BOUND);
    }
    c.dispose();
  });
});
