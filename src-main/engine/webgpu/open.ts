import { createRequire } from 'node:module';
import { UserError, type EngineStatus } from '../types.ts';
import { findAdapter } from './adapter.ts';
import { registerAddN } from './add-n.ts';
import { registerWebgpu, type Backend } from './backend.ts';
import { Device } from './device.ts';
import { registerWebgpuKernels } from './fused.ts';
import { tunedTiles } from './tuner.ts';

const require = createRequire(import.meta.url);

const version = (name: string) => (require(`${name}/package.json`) as { version: string }).version;

/** What this machine has for WebGPU. */
export async function webgpuStatus(): Promise<EngineStatus> {
  const found = await findAdapter();
  const missing = typeof found === 'string';
  return {
    name: 'webgpu',
    available: !missing,
    device: missing ? 'none' : found.device,
    kind: missing || found.software ? 'cpu' : 'gpu',
    memoryBytes: missing ? 0 : found.memoryBytes,
    versions: { webgpu: version('webgpu'), 'tfjs-backend-webgpu': version('@tensorflow/tfjs-backend-webgpu') },
    reason: missing
      ? found
      : found.software
        ? 'A software adapter, taken because EFFILORA_WEBGPU=software asks for it: right, but slow'
        : 'A GPU and its driver are here',
  };
}

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
  if (!found.software) backend.tiles = await tunedTiles(backend);
  return backend;
}
