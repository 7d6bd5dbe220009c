import fs from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { packBatch } from '../../src-main/data/batches.ts';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../src-main/effilora/adamw.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import { collectGarbage } from '../../src-main/engine/collect-garbage.ts';
import { type Addon, DataType } from '../../src-main/engine/tensorflow/addon.ts';
import type { CompilerBackend } from '../../src-main/engine/tensorflow/resident-tensors.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { DECODER_SITES } from '../../src-main/models/types.ts';
import { taskOf } from '../../src-main/tasks/registry.ts';
import { TrainingStep } from '../../src-main/trainer/step.ts';
import { SEVEN_B, writeEmptyModel } from '../bench/make-7b.ts';
import { options } from '../effilora/support.ts';
import { openGpuConfiguration } from '../support/gpu-configuration.ts';
import { temporary } from '../trainer/support.ts';

type Shape = number[];

/** Larger tensors have their shape and no numbers: nothing is run that would read them. */
const WEIGHTLESS_BYTES = 1e5;

/** TensorFlow as a GPU runs it, which puts graphs together and neither holds nor runs anything. Returns the shapes of its variables. */
async function openWeightless(): Promise<Shape[]> {
  const { addon } = (await openGpuConfiguration()) as unknown as { addon: Addon };
  const backend = tf.backend() as CompilerBackend;
  const { move } = backend;
  backend.move = (dataId, values, shape, dtype, references) => {
    if (!ArrayBuffer.isView(values) || values.byteLength < WEIGHTLESS_BYTES)
      return move.call(backend, dataId, values, shape, dtype, references);
    move.call(backend, dataId, new Float32Array(1), [1], dtype, references);
    backend.getInputTensorIds([{ dataId }]);
    backend.tensorMap.get(dataId).shape = shape;
    collectGarbage();
  };
  const variables: Shape[] = [];
  const { addNode } = addon;
  addon.addNode = (...given) => {
    const [, operation, , attributes] = given;
    const value = (name: string) => attributes.find((one) => one.name === name)!.value;
    if (operation === 'VarHandleOp') {
      expect(value('dtype')).toBe(DataType.float);
      variables.push(value('shape') as Shape);
    }
    return addNode(...given);
  };
  addon.stage = () => ({}) as ReturnType<Addon['stage']>;
  addon.run = (_, __, fetches) =>
    fetches.length === 0 ? Promise.resolve([]) : Promise.reject(new Error('The graph is there'));
  return variables;
}

/** Bytes of a model's file, of what its step's graph holds, and of what is trained in it. */
async function held(place: string, variables: Shape[]) {
  const file = await openTextModel(place);
  const task = taskOf(file);
  const model = await task.load(file, 'auto');
  await file.close();
  const adapter = new Adapter(model.sites(), options({ rank: 8, targets: [...DECODER_SITES] }), 1);
  const optimizer = new AdamW(adapter.trainables, ADAMW_DEFAULTS);
  const reducer = new Reducer(adapter.heads, adapter.options.heads, {
    ...{ ratio: 0, warmup: 1, interval: 1, beta: 0.85, policy: 'topk', temperature: 1, schedule: 'step' },
    ...{ probe: true, minActivePerSite: 0, seed: 1 },
  });
  const warnings: string[] = [];
  const step = new TrainingStep(task.objective(model), adapter, optimizer, reducer, {
    ...{ routerShare: false, recompute: true, seed: 1, warn: (line: string) => void warnings.push(line) },
  });
  const inputIds = Int32Array.from({ length: 512 }, (_, t) => t);
  const batch = packBatch([{ inputIds, labels: inputIds }], 512);
  await expect(step.run(1, [batch], 1e-3)).rejects.toThrow('The graph is there');
  expect(warnings).toEqual([]);
  return {
    graph: variables.reduce((sum, shape) => sum + 4 * shape.reduce((product, size) => product * size, 1), 0),
    trained: adapter.trainables.reduce((sum, { variable }) => sum + 4 * variable.size, 0),
  };
}

it('the graph of a 7B model’s step holds weights in four bits as their file does: in under 5 GiB', async () => {
  const variables = await openWeightless();
  const folder = temporary('seven-b');
  for (const format of ['q4_0', 'q4_k'] as const) {
    const place = path.join(folder, `${format}.gguf`);
    writeEmptyModel(place, SEVEN_B, format);
    expect(fs.statSync(place).size).toBeLessThan(5 * 2 ** 30);
    // Two of its layers, which are all alike.
    writeEmptyModel(place, { ...SEVEN_B, layers: 2 }, format);
    variables.length = 0;
    const { graph, trained } = await held(place, variables);
    // Trained numbers have two moments.
    expect((graph - 3 * trained) / fs.statSync(place).size).toBeCloseTo(1, 3);
  }
});
