import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import si from 'systeminformation';
import { nvidiaGpu } from '../tensorflow/cuda.ts';
import { hasGraphicsDrivers, openDawn } from './dawn.ts';

/** A GPU as WebGPU sees it, and what WebGPU does not tell of it. */
export interface FoundAdapter {
  adapter: GPUAdapter;
  /** e.g. 'NVIDIA GeForce RTX 4090' */
  device: string;
  /** a processor that plays GPU */
  software: boolean;
  /** memory tensors can use, bytes */
  memoryBytes: number;
}

/** EFFILORA_WEBGPU=software takes a software adapter: for tests, and for trying things where no GPU is. */
export const softwareAsked = () => process.env.EFFILORA_WEBGPU === 'software';

/** Of an integrated GPU's memory, which is the machine's, this share can be taken (what Metal and D3D12 grant). */
const SHARED_MEMORY_SHARE = 0.6;

/** The GPU to use, the discrete one where there are two; or why there is none. A software adapter only when asked for. */
export async function findAdapter(): Promise<FoundAdapter | string> {
  if (!hasGraphicsDrivers())
    return 'No Vulkan driver is installed; install your GPU maker’s driver (Debian: mesa-vulkan-drivers)';
  const gpu = await openDawn();
  if (!gpu) return `There is no WebGPU for ${process.platform} on ${process.arch}`;
  // Dawn lists discrete GPUs before integrated ones where high performance is wanted.
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return 'The GPU driver offers no GPU that WebGPU can use; update it';
  const { info } = adapter;
  const device = deviceName(info);
  const software = info.isFallbackAdapter;
  if (software && !softwareAsked()) return `Only ${device} was found, which is software and slow`;
  return { adapter, device, software, memoryBytes: software ? os.totalmem() : await memoryBytes(info) };
}

/** Dawn's description holds the name with driver or adapter details in brackets after it, or the driver alone. */
function deviceName({ device, description, vendor, architecture }: GPUAdapterInfo): string {
  const named = [device, description].find((text) => /[a-z]{3}/i.test(text) && !/driver/i.test(text));
  return named?.replace(/-+$/, '') ?? [vendor, architecture].filter(Boolean).join(' ');
}

/** WebGPU does not say how much memory a GPU has; the system does. */
async function memoryBytes({ vendor }: GPUAdapterInfo): Promise<number> {
  const shared = os.totalmem() * SHARED_MEMORY_SHARE;
  if (vendor === 'nvidia') {
    const nvidia = nvidiaGpu();
    if (nvidia) return nvidia.memoryBytes;
  }
  if (vendor === 'amd') {
    const amd = amdMemoryBytes();
    if (amd) return amd;
  }
  if (vendor === 'apple') return shared;
  const { controllers } = await si.graphics();
  const ofVendor = controllers.filter((controller) => controller.vendor.toLowerCase().includes(vendor));
  const mebibytes = Math.max(0, ...ofVendor.map(({ vram, vramDynamic }) => (vramDynamic ? 0 : (vram ?? 0))));
  return mebibytes > 0 ? mebibytes * 2 ** 20 : shared;
}

/** The largest of this machine's AMD GPUs (Linux). */
function amdMemoryBytes(): number {
  const folder = '/sys/class/drm';
  const read = (card: string) => {
    try {
      return Number(fs.readFileSync(path.join(folder, card, 'device/mem_info_vram_total'), 'utf8'));
    } catch {
      return 0;
    }
  };
  return fs.existsSync(folder) ? Math.max(0, ...fs.readdirSync(folder).map(read)) : 0;
}
