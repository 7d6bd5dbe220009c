import * as tf from '@tensorflow/tfjs-core';
import type { PackedKernels } from '../../src-main/engine/packed.ts';
import type { Compiler } from '../../src-main/engine/tensorflow/compile.ts';
import { packedTensorflowKernels } from '../../src-main/engine/tensorflow/packed.ts';
import type { CompilerBackend } from '../../src-main/engine/tensorflow/resident-tensors.ts';
import type { Addon } from '../../src-main/engine/tensorflow/addon.ts';

/** Our own kernels for the processor, beside TensorFlow as a GPU runs it: the addon brings them either way. For eager code. */
export const cpuKernels = (compiler: Compiler): PackedKernels =>
  packedTensorflowKernels((compiler as unknown as { addon: Addon }).addon, tf.backend() as CompilerBackend);
