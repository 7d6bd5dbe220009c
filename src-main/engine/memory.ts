import * as tf from '@tensorflow/tfjs-core';

/** What an engine that counts its device's memory tells of it. */
interface OnDevice {
  numBytesAllocatedInGPU?: number;
  /** the most that was ever allocated */
  peakBytesInGPU?: number;
}

/** Bytes in use: on the device where the engine keeps count of them, else this process's resident ones. */
export function engineMemoryBytes(): number {
  return (tf.memory() as OnDevice).numBytesAllocatedInGPU ?? process.memoryUsage.rss();
}

/** The most bytes so far, counted in the same place. */
export function enginePeakBytes(): number {
  return (tf.memory() as OnDevice).peakBytesInGPU ?? process.resourceUsage().maxRSS * 1024;
}
