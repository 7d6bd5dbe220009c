import { UserError } from '../types.ts';
import { findAdapter } from './adapter.ts';
import { registerAddN } from './add-n.ts';
import { registerWebgpu, type Backend } from './backend.ts';
import { Device } from './device.ts';
import { registerWebgpuKernels } from './fused.ts';
import { tune } from './tuner.ts';

/**
 * Of products in one submission, by the speed of the fastest: kernels that reach a quarter of it stay well below the two seconds after
 * which drivers end what runs.
 */
const SECONDS_A_SUBMISSION = 0.25;

let backend: Backend | undefined;

/**
 * Registers tfjs's 'webgpu' backend on this machine's GPU, once a process.
 * @throws UserError when there is no GPU, or its driver refuses
 */
export async function openWebgpu(): Promise<Backend> {
  if (backend) return backend;
  const found = await findAdapter();
  if (typeof found === 'string') throw new UserError(`The engine webgpu can't be used: ${found}`);
  backend = registerWebgpu(await Device.open(found));
  registerAddN();
  registerWebgpuKernels(backend);
  if (!found.software) {
    const { tiles, flopsPerSecond } = await tune(backend);
    backend.tiles = tiles;
    backend.flopsASubmission = SECONDS_A_SUBMISSION * flopsPerSecond;
  }
  return backend;
}
