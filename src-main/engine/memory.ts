import * as tf from '@tensorflow/tfjs-core';

/** Bytes in use: on the device where the engine keeps count of them, else this process's resident ones. */
export function engineMemoryBytes(): number {
  const { numBytesAllocatedInGPU } = tf.memory() as { numBytesAllocatedInGPU?: number };
  return numBytesAllocatedInGPU ?? process.memoryUsage.rss();
}
