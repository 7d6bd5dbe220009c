import os from 'node:os';
import { expectedInstallation, isInstalled } from '../tensorflow/install.ts';
import type { EngineName, Proven } from '../types.ts';
import { findAdapter } from '../webgpu/adapter.ts';
import { gpusHere } from './here.ts';
import { cpuName } from './portable.ts';
import type { ProbeAsked } from './probe.ts';
import * as status from './status.ts';

/** An engine on a device of this machine that it may run on. */
export interface Target {
  engine: EngineName;
  /** e.g. 'NVIDIA GeForce RTX 4090' or the CPU's name */
  device: string;
  kind: 'gpu' | 'cpu';
  /** a processor that plays GPU */
  software: boolean;
  /** memory tensors can use, bytes */
  memoryBytes: number;
  /** of a GPU's now, where it is told */
  freeBytes?: number;
  versions: Record<string, string>;
  /** how it is tried there; else why it can't be, and what to do */
  ask: ProbeAsked | string;
  /** by what a try on a GPU is kept */
  proven?: Proven;
}

/** TensorFlow on the NVIDIA GPU with most memory, where there is one, and on the processor; just as engines are chosen. */
export async function tensorflowTargets(): Promise<Target[]> {
  const gpu = (await gpusHere()).find(({ vendor }) => vendor === 'nvidia');
  const isThere = await isInstalled(await expectedInstallation());
  const ask = (asked: ProbeAsked) => (isThere ? asked : status.NOT_SET_UP);
  const onProcessor: Target = {
    ...{ engine: 'tensorflow', device: cpuName(), kind: 'cpu', software: false, memoryBytes: os.totalmem() },
    ...{ versions: status.tensorflowVersions(), ask: ask({ engine: 'tensorflow', gpu: false }) },
  };
  if (!gpu) return [onProcessor];
  const { name: device, memoryBytes, freeBytes } = gpu;
  const onGpu: Target = {
    ...{ engine: 'tensorflow', device, kind: 'gpu', software: false, memoryBytes, freeBytes },
    ...{ versions: status.tensorflowVersions(gpu), ask: ask(status.askedOf(gpu)), proven: status.provenOf(gpu) },
  };
  return [onGpu, onProcessor];
}

/** WebGPU on the GPU that its driver offers. A driver that is asked may crash this process. */
export async function webgpuTarget(): Promise<Target> {
  const found = await findAdapter();
  const versions = status.webgpuVersions();
  if (typeof found === 'string')
    return { engine: 'webgpu', device: 'none', kind: 'cpu', software: false, memoryBytes: 0, versions, ask: found };
  const { device, software, memoryBytes, freeBytes, driver } = found;
  const { of, asked } = status.webgpuProof(device, driver);
  return {
    ...{ engine: 'webgpu', device, software, memoryBytes, freeBytes, ask: asked, kind: software ? 'cpu' : 'gpu' },
    versions: { ...versions, ...(driver && { driver }) },
    proven: software ? undefined : of,
  };
}
