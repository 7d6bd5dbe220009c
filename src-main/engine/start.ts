import path from 'node:path';
import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import { GpuMemory } from './devices/gpu-memory.ts';
import './gradients.ts';
import { memoryFromDriver } from './memory.ts';
import { registerTensorflow } from './tensorflow/binding.ts';
import { openCompiler } from './tensorflow/open-compiler.ts';
import { UserError, type EngineName, type Placement } from './types.ts';
import { openWebgpu } from './webgpu/open.ts';

const require = createRequire(import.meta.url);

/** How it started. */
export interface Started {
  onGpu: boolean;
  /** of TensorFlow */
  version?: string;
}

/**
 * Makes an engine tfjs's backend for this process, whatever it is good for here.
 * @throws UserError when it is not set up, or does not start
 */
export async function startEngine(name: EngineName, placement: Placement): Promise<Started> {
  const { gpu, uuid } = placement;
  const memory = name === 'tensorflow' && gpu && uuid !== undefined ? await GpuMemory.open(uuid) : undefined;
  const version = name === 'tensorflow' ? await registerTensorflow(placement) : undefined;
  if (name === 'webgpu') await openWebgpu();
  if (name === 'wasm') {
    const wasm = await import('@tensorflow/tfjs-backend-wasm');
    wasm.setWasmPaths(path.join(path.dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'dist/'));
  }
  if (name === 'cpu') await import('@tensorflow/tfjs-backend-cpu');
  if (!(await tf.setBackend(name))) throw new UserError(`The engine ${name} did not start; try another with --engine`);
  await tf.ready();
  const onGpu = name === 'tensorflow' ? usesGpu() : name === 'webgpu';
  if (memory && onGpu) memoryFromDriver(memory);
  if (name === 'tensorflow') await openCompiler(onGpu);
  // tfjs's advice to install tfjs-node instead is not for our users.
  if (name === 'cpu') Object.assign(tf.backend(), { firstUse: false });
  return { onGpu, version };
}

/** TensorFlow falls back to the processor without a word. */
const usesGpu = () => (tf.backend() as tf.KernelBackend & { isUsingGpuDevice: boolean }).isUsingGpuDevice;
