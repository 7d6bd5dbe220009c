import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import si from 'systeminformation';

export type GpuVendor = 'nvidia' | 'amd' | 'intel' | 'apple' | 'other';

/** A graphics processor of this machine, as its system and its driver know it. */
export interface Gpu {
  vendor: GpuVendor;
  /** e.g. 'NVIDIA GeForce RTX 4090' */
  name: string;
  /** of its own; of one without, what it may take of the machine's */
  memoryBytes: number;
  /** now, where that is told */
  freeBytes?: number;
  /** share of the time it computes, 0 to 1, where that is told */
  busy?: number;
  driver?: string;
  /** CUDA's, e.g. '8.9' */
  computeCapability?: string;
  /** by which CUDA knows it, e.g. 'GPU-2f3a…' */
  uuid?: string;
}

/** What systeminformation says of a graphics controller, as far as it counts here. */
export interface Controller {
  vendor: string;
  model: string;
  /** MiB */
  vram: number | null;
  /** that this is a part of the machine's memory */
  vramDynamic: boolean;
}

/** Whom the machine is asked by; tests answer for it. */
export interface GpuSources {
  /** the lines that nvidia-smi prints for these fields; none where it is not there or finds nothing */
  nvidiaSmi(fields: string[]): Promise<string[]>;
  /** its lines of process id, GPU's UUID and MiB in use there, one for each process that computes on a GPU */
  nvidiaProcesses(): Promise<string[]>;
  /** where Linux shows graphics cards */
  drmFolder: string;
  controllers(): Promise<Controller[]>;
}

const MIB = 2 ** 20;
/** Of the machine's memory a GPU without its own can take this share (what Metal and D3D12 grant). */
export const SHARED_MEMORY_SHARE = 0.6;
/** A driver that hangs is one that is not there. */
const LIMIT_MS = 10_000;

export const system: GpuSources = {
  nvidiaSmi: (fields) => askNvidiaSmi('gpu', fields),
  nvidiaProcesses: () => askNvidiaSmi('compute-apps', ['pid', 'gpu_uuid', 'used_memory']),
  drmFolder: '/sys/class/drm',
  controllers: async () => (await si.graphics()).controllers,
};

/** Which of the makers a text such as 'Advanced Micro Devices, Inc. [AMD/ATI]' names. */
export function vendorOf(text: string): GpuVendor {
  const makers: [GpuVendor, RegExp][] = [
    ['nvidia', /nvidia/i],
    ['amd', /\bamd\b|advanced micro devices|\bati\b|radeon/i],
    ['intel', /intel/i],
    ['apple', /apple/i],
  ];
  return makers.find(([, named]) => named.test(text))?.[0] ?? 'other';
}

/** Every GPU of this machine, each once: those with most memory of their own first. */
export async function listGpus(from: GpuSources = system): Promise<Gpu[]> {
  const [nvidia, controllers] = await Promise.all([nvidiaGpus(from), from.controllers().catch(() => [])]);
  const amd = amdGpus(from);
  const known: GpuVendor[] = [
    ...(nvidia.length > 0 ? ['nvidia' as const] : []),
    ...(amd.length > 0 ? ['amd' as const] : []),
  ];
  const others = controllers.map(ofController).filter((gpu) => gpu.vendor !== 'other' && !known.includes(gpu.vendor));
  const names = controllers
    .filter((each) => vendorOf(`${each.vendor} ${each.model}`) === 'amd')
    .map(({ model }) => model);
  const named = amd.map((gpu, i) => ({ ...gpu, name: names[i] ?? gpu.name }));
  return [...nvidia, ...named, ...others].sort((a, b) => b.memoryBytes - a.memoryBytes);
}

/** NVIDIA's GPUs that its driver answers for, and that `CUDA_VISIBLE_DEVICES` leaves to be seen. */
export async function nvidiaGpus(from: Pick<GpuSources, 'nvidiaSmi'> = system): Promise<Gpu[]> {
  const fields = ['name', 'memory.total', 'memory.used', 'utilization.gpu', 'driver_version', 'uuid'];
  // Older drivers refuse all where they don't know one field.
  let lines = await from.nvidiaSmi([...fields, 'compute_cap']);
  if (lines.length === 0) lines = await from.nvidiaSmi(fields);
  return lines.map(nvidiaGpu).filter((gpu, i) => gpu !== undefined && isVisible(i, gpu.uuid)) as Gpu[];
}

function nvidiaGpu(line: string): Gpu | undefined {
  const [name, total, used, busy, driver, uuid, computeCapability] = line.split(', ').map((field) => field.trim());
  const memoryBytes = Number(total) * MIB;
  if (!name || !(memoryBytes > 0)) return undefined;
  return {
    ...{ vendor: 'nvidia', name, memoryBytes, driver, uuid },
    freeBytes: Number.isFinite(Number(used)) ? memoryBytes - Number(used) * MIB : undefined,
    busy: Number.isFinite(Number(busy)) ? Number(busy) / 100 : undefined,
    computeCapability: /^\d+\.\d+$/.test(computeCapability ?? '') ? computeCapability : undefined,
  };
}

/** What CUDA does with the variable: numbers and beginnings of UUIDs, up to the first that is none. */
function isVisible(index: number, uuid = ''): boolean {
  const wanted = process.env.CUDA_VISIBLE_DEVICES;
  if (wanted === undefined) return true;
  return wanted
    .split(',')
    .some((each) => each.trim() !== '' && (each.trim() === String(index) || uuid.startsWith(each.trim())));
}

/** AMD's GPUs as the kernel's driver shows them (Linux). */
export function amdGpus({ drmFolder }: Pick<GpuSources, 'drmFolder'> = system): Gpu[] {
  const read = (card: string, file: string) => {
    try {
      return fs.readFileSync(path.join(drmFolder, card, 'device', file), 'utf8').trim();
    } catch {
      return undefined;
    }
  };
  const cards = fs.existsSync(drmFolder) ? fs.readdirSync(drmFolder).filter((name) => /^card\d+$/.test(name)) : [];
  return cards.sort().flatMap((card): Gpu[] => {
    const memoryBytes = Number(read(card, 'mem_info_vram_total'));
    if (read(card, 'vendor') !== '0x1002' || !(memoryBytes > 0)) return [];
    const [used, busy] = [read(card, 'mem_info_vram_used'), read(card, 'gpu_busy_percent')];
    return [
      {
        ...{ vendor: 'amd', name: read(card, 'product_name') || 'AMD GPU', memoryBytes },
        freeBytes: used === undefined ? undefined : memoryBytes - Number(used),
        busy: busy === undefined ? undefined : Number(busy) / 100,
      },
    ];
  });
}

function ofController({ vendor, model, vram, vramDynamic }: Controller): Gpu {
  const own = vramDynamic ? 0 : (vram ?? 0) * MIB;
  return {
    vendor: vendorOf(`${vendor} ${model}`),
    name: model,
    memoryBytes: own || os.totalmem() * SHARED_MEMORY_SHARE,
  };
}

async function askNvidiaSmi(what: 'gpu' | 'compute-apps', fields: string[]): Promise<string[]> {
  // Under WSL 2 it lies beside the driver's library, which not every shell looks for.
  for (const program of ['nvidia-smi', '/usr/lib/wsl/lib/nvidia-smi'])
    try {
      const query = [`--query-${what}=${fields.join(',')}`, '--format=csv,noheader,nounits'];
      const { stdout } = await promisify(execFile)(program, query, { timeout: LIMIT_MS, windowsHide: true });
      return stdout.split('\n').filter((line) => line.includes(', '));
    } catch {
      // The next one, or none.
    }
  return [];
}

/** Whether an NVIDIA driver is loaded, be there a GPU or not: containers show the one without the other. */
export const hasNvidiaDriver = (): boolean =>
  fs.existsSync('/proc/driver/nvidia/version') || fs.existsSync('/usr/lib/wsl/lib/libcuda.so.1');
