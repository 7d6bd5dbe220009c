import { lstat, readdir } from 'node:fs/promises';
import { cpus, freemem, hostname, platform, release, totalmem } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { FolderListing, GpuStatus, MachineStatus } from '../../src-preload/contract/index.ts';
import { amdGpus, nvidiaGpus } from '../engine/devices.ts';
import { ADAPTER_FILE, DATASET_FILE } from './file-kinds.ts';
import type { AllowedPaths } from './paths.ts';

/** A folder with more entries than this shows the first ones, and says so. */
const MAX_ENTRIES = 2_000;

export async function machineStatus(dataFolder: string): Promise<MachineStatus> {
  const processors = cpus();
  return {
    gpus: await gpuLoads(),
    host: hostname(),
    platform: `${platform()} ${release()}`,
    processor: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryBytes: totalmem(),
    freeMemoryBytes: freemem(),
    busy: busySinceAsked(),
    usedBytes: process.memoryUsage().rss,
    dataFolder,
  };
}

/** What the drivers say of each GPU now; none where nobody tells. */
async function gpuLoads(): Promise<GpuStatus[]> {
  return [...(await nvidiaGpus()), ...amdGpus()].map(({ name, memoryBytes, freeBytes, busy }) => ({
    ...{ name, memoryBytes, busy: busy ?? 0 },
    usedBytes: memoryBytes - (freeBytes ?? memoryBytes),
  }));
}

/** Bytes and files under `folder`; links are not followed. */
export async function folderSize(folder: string): Promise<{ bytes: number; files: number }> {
  let bytes = 0;
  let files = 0;
  const open = [folder];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const entries = await readdir(next, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const path = join(next, entry.name);
      if (entry.isDirectory()) open.push(path);
      else if (entry.isFile()) {
        files += 1;
        bytes += await lstat(path).then(
          (found) => found.size,
          () => 0,
        );
      }
    }
  }
  return { bytes, files };
}

/** One folder for the file browser: folders first, then the files that `show` asks for; hidden ones are left out. */
export async function browse(
  allowed: AllowedPaths,
  path: string | undefined,
  show: 'models' | 'datasets' | 'adapters' | 'all',
): Promise<FolderListing> {
  const roots = await allowed.roots();
  const folder = await allowed.check(path ?? roots[0] ?? process.cwd());
  const wanted = { models: /\.(gguf|safetensors)$/i, datasets: DATASET_FILE, adapters: ADAPTER_FILE, all: /./ }[show];
  const found = (await readdir(folder, { withFileTypes: true })).filter(
    (entry) => !entry.name.startsWith('.') && (entry.isDirectory() || (entry.isFile() && wanted.test(entry.name))),
  );
  found.sort((a, b) => Number(b.isDirectory()) - Number(a.isDirectory()) || a.name.localeCompare(b.name));
  const entries = await Promise.all(
    found.slice(0, MAX_ENTRIES).map(async (entry) => {
      const full = join(folder, entry.name);
      const stats = await lstat(full);
      const kind = entry.isDirectory() ? ('folder' as const) : ('file' as const);
      return { name: entry.name, path: full, kind, bytes: stats.size, modifiedAt: stats.mtimeMs };
    }),
  );
  const parent = await allowed.check(dirname(folder)).catch(() => null);
  return {
    path: folder,
    parent: parent === folder ? null : parent,
    roots: roots.map((root) => ({ name: basename(root) || root, path: root })),
    entries,
    truncated: found.length > MAX_ENTRIES,
  };
}

let asked: { busy: number; all: number } | undefined;

/** Share of the processors' time since the last call, 0 to 1. */
function busySinceAsked(): number | null {
  const times = cpus().map((cpu) => cpu.times);
  const all = times.reduce((sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq, 0);
  const now = { all, busy: all - times.reduce((sum, { idle }) => sum + idle, 0) };
  const before = asked;
  asked = now;
  return before && now.all > before.all ? (now.busy - before.busy) / (now.all - before.all) : null;
}
