import * as tf from '@tensorflow/tfjs-core';
import type { GpuMemory } from './devices/gpu-memory.ts';

/** What an engine that counts its device's memory tells of it. */
interface OnDevice {
  numBytesAllocatedInGPU?: number;
  /** the most that was ever allocated */
  peakBytesInGPU?: number;
}

let toldByDriver: GpuMemory | undefined;

/** From now on memory is what the driver tells of a GPU, whose engine keeps no count. */
export function memoryFromDriver(memory: GpuMemory): void {
  toldByDriver = memory;
}

/** Bytes in use: on the device where the engine or its driver tells of it, else this process's resident ones. */
export async function engineMemoryBytes(): Promise<number> {
  const onDevice = (tf.memory() as OnDevice).numBytesAllocatedInGPU ?? (await toldByDriver?.bytes());
  return onDevice ?? process.memoryUsage.rss();
}

/** The most bytes so far, counted in the same place. */
export async function enginePeakBytes(): Promise<number> {
  await toldByDriver?.ask();
  const onDevice = (tf.memory() as OnDevice).peakBytesInGPU ?? toldByDriver?.peakBytes;
  return onDevice || process.resourceUsage().maxRSS * 1024;
}
