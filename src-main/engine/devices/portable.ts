import { createRequire } from 'node:module';
import os from 'node:os';
import type { EngineStatus } from '../types.ts';

const require = createRequire(import.meta.url);

/** The version of a package that the engines are made of. */
export const versionOf = (name: string) => (require(`${name}/package.json`) as { version: string }).version;

export const cpuName = () => os.cpus()[0]?.model.trim() ?? os.arch();

/** What runs everywhere. */
export function portableStatus(name: 'wasm' | 'cpu'): EngineStatus {
  const reason =
    name === 'wasm'
      ? 'WebAssembly runs everywhere; slower than tensorflow, and at most 4 GiB'
      : 'Plain JavaScript runs everywhere; for tests and tiny models';
  const versions = { tfjs: versionOf('@tensorflow/tfjs-core') };
  return {
    ...{ name, available: true, device: cpuName(), kind: 'cpu', versions, reason },
    memoryBytes: name === 'wasm' ? Math.min(2 ** 32, os.totalmem()) : os.totalmem(),
  };
}
