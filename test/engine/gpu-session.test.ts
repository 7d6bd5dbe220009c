import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, it } from 'vitest';
import { stepCompiler } from '../../src-main/engine/compiler.ts';
import { DeviceError } from '../../src-main/engine/device-error.ts';
import type { Addon } from '../../src-main/engine/tensorflow/addon.ts';
import { fieldsOf, messagesAt } from '../support/allocated.ts';
import { openGpuConfiguration } from '../support/gpu-configuration.ts';

let addon: Addon;
beforeAll(async () => void ({ addon } = (await openGpuConfiguration()) as unknown as { addon: Addon }));

const x = () => tf.tensor1d([3]);
const doubling = (input: tf.Tensor1D) =>
  stepCompiler()!.compile({ feeds: [input], state: [], precision: 'f32', step: () => ({ outputs: [tf.mul(input, 2)], updates: [] }) }); // prettier-ignore

it('takes a GPU’s memory as it needs it: the eager context, and the session of compiled steps', async () => {
  expect(process.env.TF_FORCE_GPU_ALLOW_GROWTH).toBe('true');
  const { openSession } = addon;
  const opened: Uint8Array[] = [];
  addon.openSession = (graph, configuration) => {
    opened.push(configuration);
    openSession(graph, configuration);
  };
  await doubling(x());
  addon.openSession = openSession;
  // tensorflow/core/protobuf/config.proto: ConfigProto.gpu_options = 6, GPUOptions.allow_growth = 4
  const [options] = messagesAt(opened[0]!, [6]);
  expect(new Map(fieldsOf(options!)).get(4)).toBe(1n);
});

it('ends with one sentence about the budget where the GPU’s memory runs out, and the session goes on', async () => {
  const step = await doubling(x());
  const { run } = addon;
  // As TensorFlow's allocator says it (tensorflow/core/framework/op_kernel.cc).
  const said = 'OOM when allocating tensor with shape[65536,65536] and type float on /job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc'; // prettier-ignore
  addon.run = () => Promise.reject(new Error(said));
  const error = await step.run([Float32Array.of(3)]).catch((thrown: unknown) => thrown);
  addon.run = run;
  expect(error).toBeInstanceOf(DeviceError);
  expect((error as Error).message).toMatch(/^The memory of the GPU ran out: lower training\.batch.*checkpoints written so far are kept/); // prettier-ignore
  expect((await step.run([Float32Array.of(3)]))[0]![0]).toBe(6);
});
