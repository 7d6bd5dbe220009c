import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { fusedKernels } from '../engine/fused-kernels.ts';

/** s = mean over a head's entries of |B_j * dL/dB_j|, [N]. b and its gradient [N * r, out]. (AdaLoRA, arXiv 2303.10512, equation 8.) */
export function sensitivity(b: Tensor2D, gradient: Tensor2D, heads: number): Tensor1D {
  const kernels = fusedKernels();
  if (kernels?.sensitivity) return kernels.sensitivity(b, gradient, heads);
  return tf.tidy(() => tf.mean(tf.reshape(tf.abs(tf.mul(b, gradient)), [heads, -1]), 1) as Tensor1D);
}
