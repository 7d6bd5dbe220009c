import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** Where Vulkan's loader looks for drivers on Linux (the loader's documentation, "Driver Discovery"). */
function vulkanDriverFolders(): string[] {
  const data = (process.env.XDG_DATA_DIRS ?? '/usr/local/share:/usr/share').split(':');
  const home = process.env.XDG_DATA_HOME ?? path.join(os.homedir(), '.local/share');
  return ['/etc', '/usr/local/etc', home, ...data].map((folder) => path.join(folder, 'vulkan/icd.d'));
}

/** True unless this is a Linux without any Vulkan driver, where asking Dawn would only make it complain on standard error. */
export function hasGraphicsDrivers(): boolean {
  if (process.platform !== 'linux') return true;
  if (process.env.VK_DRIVER_FILES || process.env.VK_ICD_FILENAMES) return true;
  return vulkanDriverFolders().some((folder) => {
    try {
      return fs.readdirSync(folder).some((name) => name.endsWith('.json'));
    } catch {
      return false;
    }
  });
}

let opened: Promise<GPU | undefined> | undefined;

/**
 * Dawn, Chromium's WebGPU, in this process; undefined where the package has no build for this platform. One instance for the
 * process's life: it must outlive every device.
 */
export function openDawn(): Promise<GPU | undefined> {
  return (opened ??= load());
}

async function load(): Promise<GPU | undefined> {
  try {
    const { create, globals } = await import('webgpu');
    // tfjs's backend looks for GPUBuffer, GPUBufferUsage and GPUMapMode as a page has them.
    Object.assign(globalThis, globals);
    // Matrices of a subgroup (device.ts) are an experiment of Chromium's, which Dawn has for those alone who ask. All shaders are our own.
    return create(['enable-dawn-features=allow_unsafe_apis']);
  } catch {
    return undefined;
  }
}
