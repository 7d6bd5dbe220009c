import os from 'node:os';
import { SHARED_MEMORY_SHARE, vendorOf } from '../devices/gpus.ts';
import { gpusHere } from '../devices/here.ts';
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
  /** of that now, where it is told */
  freeBytes?: number;
  driver?: string;
}

/** EFFILORA_WEBGPU=software takes a software adapter: for tests, and for trying things where no GPU is. */
export const softwareAsked = () => process.env.EFFILORA_WEBGPU === 'software';

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
  const facts = software ? { memoryBytes: os.totalmem() } : await ownFacts(info, device);
  return { adapter, device, software, ...facts };
}

/** Dawn's description holds the name with driver or adapter details in brackets after it, or the driver alone. */
function deviceName({ device, description, vendor, architecture }: GPUAdapterInfo): string {
  const named = [device, description].find((text) => /[a-z]{3}/i.test(text) && !/driver/i.test(text));
  return named?.replace(/-+$/, '') ?? [vendor, architecture].filter(Boolean).join(' ');
}

/** WebGPU does not say how much memory a GPU has; the system does: of the GPU of that name, else of the vendor's largest. */
export async function ownFacts(
  { vendor }: Pick<GPUAdapterInfo, 'vendor'>,
  device: string,
): Promise<Pick<FoundAdapter, 'memoryBytes' | 'freeBytes' | 'driver'>> {
  const ofVendor = (await gpusHere()).filter((gpu) => gpu.vendor === vendorOf(vendor));
  const gpu = ofVendor.find(({ name }) => device.includes(name) || name.includes(device)) ?? ofVendor[0];
  if (!gpu) return { memoryBytes: os.totalmem() * SHARED_MEMORY_SHARE };
  const { memoryBytes, freeBytes, driver } = gpu;
  return { memoryBytes, freeBytes, driver };
}
