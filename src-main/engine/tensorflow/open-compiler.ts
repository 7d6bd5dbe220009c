import { createRequire } from 'node:module';
import os from 'node:os';
import * as tf from '@tensorflow/tfjs-core';
import { registerStepCompiler } from '../compiler.ts';
import { registerPackedKernels } from '../frozen.ts';
import { registerFusedKernels } from '../fused-kernels.ts';
import type { Addon } from './addon.ts';
import { buildAddon } from './addon-build.ts';
import { Compiler } from './compile.ts';
import { composedPackedKernels } from './composed-packed.ts';
import { tensorflowKernels } from './fused.ts';
import { registerGather } from './gather.ts';
import { packedTensorflowKernels } from './packed.ts';
import { expectedInstallation } from './install.ts';
import type { CompilerBackend } from './resident-tensors.ts';

let compiler: Compiler | undefined;

/**
 * Loads the addon and makes tfjs's open tensorflow backend ready to compile steps. On a CPU our own kernels serve eager code,
 * too; a GPU has none of them and runs compositions of TensorFlow's operations.
 */
export async function openCompiler(gpu: boolean): Promise<Compiler> {
  if (compiler) return compiler;
  const installation = await expectedInstallation();
  const addon = createRequire(import.meta.url)(await buildAddon(installation)) as Addon;
  const backend = tf.backend() as CompilerBackend;
  const threads = Number(process.env.OMP_NUM_THREADS) || os.availableParallelism();
  addon.setThreads(threads);
  if (gpu) registerPackedKernels('tensorflow', composedPackedKernels(backend));
  else {
    const packed = packedTensorflowKernels(addon, backend);
    registerFusedKernels('tensorflow', { ...tensorflowKernels(backend), packed });
  }
  registerGather();
  compiler = new Compiler(addon, backend, { threads, gpu });
  registerStepCompiler('tensorflow', compiler);
  return compiler;
}
