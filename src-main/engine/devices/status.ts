import os from 'node:os';
import { forked, type Launch } from '../child.ts';
import { expectedInstallation, isInstalled, TENSORFLOW_VERSION } from '../tensorflow/install.ts';
import type { EngineStatus, Proven, Untried } from '../types.ts';
import { findAdapter } from '../webgpu/adapter.ts';
import { hasNvidiaDriver, type Gpu } from './gpus.ts';
import { gpusHere } from './here.ts';
import { cpuName, versionOf } from './portable.ts';
import { probe, type ProbeAsked } from './probe.ts';
import { keepProof, keptProof, type Proof } from './proof.ts';

const TFJS_NODE = '4.22.0';

/** How engines are tried that were not yet, on the device there is now. */
export interface Trying {
  /** how a process is started; undefined: none can be from here, and what was not tried counts as unproven */
  launch?: Launch;
  /** although they were */
  again?: boolean;
}

/** Electron's helper processes can't start any of Node's. */
export const tryingHere = (): Trying => ({ launch: process.versions.electron ? undefined : forked });

export const NOT_SET_UP = 'It is not set up on this machine; npm start sets it up (Linux on x86-64)';

const UNTRIED: Proof = {
  passed: false,
  reason: 'It was not yet tried on this GPU: the studio does that when it starts, and `effilora engines` does it now',
  seconds: 0,
};

async function proofOf(
  of: Proven,
  asked: ProbeAsked,
  { launch, again = false }: Trying,
): Promise<Proof & { untried?: Untried }> {
  const kept = again ? undefined : await keptProof(of);
  if (kept) return kept;
  if (!launch) return { ...UNTRIED, untried: { of, asked } };
  const proof = await probe(asked, launch);
  await keepProof(of, proof);
  return proof;
}

/** TensorFlow on the NVIDIA GPU with most memory, where it is proven to run there, else on the processor. */
export async function tensorflowStatus(trying: Trying): Promise<EngineStatus> {
  const installation = await expectedInstallation();
  const available = await isInstalled(installation);
  const gpu = (await gpusHere()).find(({ vendor }) => vendor === 'nvidia');
  const versions = tensorflowVersions(gpu);
  const proof = gpu && available ? await proofOf(provenOf(gpu), askedOf(gpu), trying) : undefined;
  const onGpu = gpu && proof?.passed;
  return {
    ...{ name: 'tensorflow', available, versions, untried: proof?.untried },
    ...(onGpu
      ? { device: gpu.name, kind: 'gpu', memoryBytes: gpu.memoryBytes, freeBytes: gpu.freeBytes }
      : { device: cpuName(), kind: 'cpu', memoryBytes: os.totalmem() }),
    reason: available ? reasonOf(gpu, proof) : NOT_SET_UP,
  };
}

/** The engine's, and the driver's of a GPU. */
export const tensorflowVersions = (gpu?: Gpu): Record<string, string> => ({
  ...{ tensorflow: TENSORFLOW_VERSION, 'tfjs-node-gpu': TFJS_NODE },
  ...(gpu?.driver && { driver: gpu.driver }),
});

export const provenOf = ({ name, driver = '' }: Gpu): Proven => ({
  engine: 'tensorflow',
  device: name,
  driver,
  version: TENSORFLOW_VERSION,
});
export const askedOf = ({ uuid }: Gpu): ProbeAsked => ({ engine: 'tensorflow', gpu: true, uuid });

function reasonOf(gpu: Gpu | undefined, proof: Proof | undefined): string {
  if (gpu && proof?.passed) return proof.reason;
  if (gpu) {
    const capability = gpu.computeCapability ? `, compute capability ${gpu.computeCapability}` : '';
    return `It runs on the processor, not on ${gpu.name} (driver ${gpu.driver ?? 'unknown'}${capability}). ${proof!.reason}`;
  }
  return hasNvidiaDriver()
    ? 'An NVIDIA driver is loaded, but nvidia-smi shows no GPU (a container has to be given one): it runs on the processor'
    : 'No NVIDIA GPU was found: it runs on the processor';
}

export const webgpuVersions = () => ({
  webgpu: versionOf('webgpu'),
  'tfjs-backend-webgpu': versionOf('@tensorflow/tfjs-backend-webgpu'),
});

/** What a try of WebGPU on a GPU is of, and what is asked. */
export const webgpuProof = (device: string, driver = ''): Untried => ({
  of: { engine: 'webgpu', device, driver, version: versionOf('webgpu') },
  asked: { engine: 'webgpu', gpu: true },
});

/** WebGPU on the GPU that its driver offers; not at all where it is proven to fail there. */
export async function webgpuStatus(trying: Trying): Promise<EngineStatus> {
  const found = await findAdapter();
  const versions = webgpuVersions();
  if (typeof found === 'string')
    return {
      ...{ name: 'webgpu', available: false, device: 'none', kind: 'cpu', memoryBytes: 0, versions },
      reason: found,
    };
  const { device, software, memoryBytes, freeBytes, driver } = found;
  if (software)
    return {
      ...{ name: 'webgpu', available: true, device, kind: 'cpu', memoryBytes, versions },
      reason: 'A software adapter, taken because EFFILORA_WEBGPU=software asks for it: right, but slow',
    };
  const { of, asked } = webgpuProof(device, driver);
  const { passed, reason, untried } = await proofOf(of, asked, trying);
  return { name: 'webgpu', available: passed, device, kind: 'gpu', memoryBytes, freeBytes, versions, reason, untried };
}
