// Import this first in a test: the webgpu engine then runs on SwiftShader, the software GPU that comes with Chromium, or on the
// driver that VK_ICD_FILENAMES names (Mesa's lavapipe has f16, which SwiftShader lacks).
import { existsSync } from 'node:fs';

const DRIVER = process.env.VK_ICD_FILENAMES ?? '/usr/lib/chromium/vk_swiftshader_icd.json';

/** Why tests of the webgpu engine can't run here; undefined where they can. */
export const noSoftwareGpu = existsSync(DRIVER)
  ? undefined
  : `SwiftShader is not here (${DRIVER}; Debian's package chromium brings it)`;

if (!noSoftwareGpu) {
  process.env.VK_ICD_FILENAMES = DRIVER;
  process.env.EFFILORA_WEBGPU = 'software';
  // While something is read, Dawn's binding asks at every turn of the event loop whether the GPU is done: the cores that
  // the software GPU computes on. Once a millisecond is enough.
  const later = (ask: (...args: unknown[]) => void, ...args: unknown[]) => setTimeout(ask, 1, ...args);
  globalThis.setImmediate = Object.assign(later, { __promisify__: setImmediate.__promisify__ }) as never;
}
