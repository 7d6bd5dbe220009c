// Import this first in a test: the webgpu engine then runs on a software GPU. It is SwiftShader, which comes with Chromium; the
// project `lavapipe` (vitest.config.ts) runs every kernel once more on Mesa's lavapipe, which has f16 and larger subgroups.
import { findDriver, type DriverName } from './drivers.ts';

const driver = process.env.EFFILORA_TEST_DRIVER;

/** In the kit for machines with a GPU (test/kit): tests run on the GPU that is there, a software one where that is asked for. */
export const onGpuHere = driver === 'here';

/** What tests run on. */
export const softwareGpu = onGpuHere ? 'the GPU here' : (driver ?? 'SwiftShader');

const found = onGpuHere ? undefined : findDriver(softwareGpu as DriverName);

/** Why tests of the webgpu engine can't run here; undefined where they can. */
export const noSoftwareGpu = found && 'missing' in found ? found.missing : undefined;

if (found && 'file' in found) {
  process.env.VK_ICD_FILENAMES = found.file;
  process.env.EFFILORA_WEBGPU = 'software';
}

if (process.env.EFFILORA_WEBGPU === 'software') {
  // While something is read, Dawn's binding asks at every turn of the event loop whether the GPU is done: the cores that
  // the software GPU computes on. Once a millisecond is enough.
  const later = (ask: (...args: unknown[]) => void, ...args: unknown[]) => setTimeout(ask, 1, ...args);
  globalThis.setImmediate = Object.assign(later, { __promisify__: setImmediate.__promisify__ }) as never;
}
