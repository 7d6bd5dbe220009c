import * as tf from '@tensorflow/tfjs-core';
import '../../src-main/engine/gradients.ts';
import { registerTensorflow } from '../../src-main/engine/tensorflow/binding.ts';
import type { Compiler } from '../../src-main/engine/tensorflow/compile.ts';
import { openCompiler } from '../../src-main/engine/tensorflow/open-compiler.ts';

/**
 * TensorFlow as it is opened on a GPU, with the processor in the GPU's place: none of our own operations, compiled steps of
 * TensorFlow's. Once a process, instead of `openEngine`.
 */
export async function openGpuConfiguration(): Promise<Compiler> {
  await registerTensorflow({ gpu: false });
  await tf.setBackend('tensorflow');
  await tf.ready();
  return openCompiler(true);
}
