// What the machine's GPU is, as WebGPU and the system tell, in a process of its own: a driver may crash. Writes one line of JSON.
import os from 'node:os';
import { listGpus } from '../../src-main/engine/devices.ts';
import { findAdapter } from '../../src-main/engine/webgpu/adapter.ts';

/** Of a machine and the GPU that is measured. */
export interface Facts {
  system: string;
  processor: string;
  memoryBytes: number;
  node: string;
  /** all that the system tells of */
  gpus: object[];
  /** the one that WebGPU takes */
  device: string;
  software: boolean;
  deviceBytes: number;
  freeBytes?: number;
  driver?: string;
  adapter: { vendor: string; architecture: string; device: string; description: string };
  features: string[];
  limits: Record<string, number>;
}

const found = await findAdapter();
if (typeof found === 'string') throw new Error(found);
const { adapter, device, software, memoryBytes: deviceBytes, freeBytes, driver } = found;
const { vendor, architecture, device: name, description } = adapter.info;
const limits: Record<string, number> = {};
for (const limit in adapter.limits) limits[limit] = Number(adapter.limits[limit as keyof GPUSupportedLimits]);
const facts: Facts = {
  ...{
    system: `${os.type()} ${os.release()}, ${os.arch()}`,
    processor: `${os.cpus()[0]?.model}, ${os.cpus().length} threads`,
  },
  ...{ memoryBytes: os.totalmem(), node: process.version, gpus: await listGpus() },
  ...{ device, software, deviceBytes, freeBytes, driver },
  adapter: { vendor, architecture, device: name, description },
  ...{ features: [...adapter.features].sort(), limits },
};
console.log(JSON.stringify(facts));
process.exit(0);
