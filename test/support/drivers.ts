// Software GPUs: two Vulkan drivers that have nothing in common but the standard, and what they are told by.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { cacheFolder } from '../../src-main/engine/folders.ts';

export type DriverName = 'SwiftShader' | 'lavapipe';

/** The file that tells Vulkan's loader of a driver; or why there is none here. */
export type FoundDriver = { file: string } | { missing: string };

/** VK_ICD_FILENAMES names another driver in SwiftShader's stead: a GPU's, say. */
const SWIFTSHADER = process.env.VK_ICD_FILENAMES ?? '/usr/lib/chromium/vk_swiftshader_icd.json';

/** Beside the system's, as `.ci/lavapipe` unpacks it, or installed. */
const LAVAPIPE = [
  path.join(cacheFolder(), 'lavapipe', 'lvp_icd.json'),
  ...['lvp_icd.json', 'lvp_icd.x86_64.json', 'lvp_icd.aarch64.json'].map((name) => `/usr/share/vulkan/icd.d/${name}`),
];

export function findDriver(name: DriverName): FoundDriver {
  if (name === 'SwiftShader')
    return existsSync(SWIFTSHADER)
      ? { file: SWIFTSHADER }
      : { missing: `SwiftShader is not here (${SWIFTSHADER}; Debian's package chromium brings it)` };
  const file = LAVAPIPE.find((candidate) => existsSync(candidate) && isMesa25(candidate));
  return file
    ? { file }
    : {
        missing:
          'lavapipe of Mesa 25 is not here (.ci/lavapipe unpacks it in Debian, or install mesa-vulkan-drivers 25)',
      };
}

/** Older ones have no f16. From Mesa 25 on lavapipe speaks Vulkan 1.4. */
function isMesa25(file: string): boolean {
  const { ICD } = JSON.parse(readFileSync(file, 'utf8')) as { ICD: { api_version: string } };
  return Number(ICD.api_version.split('.')[1]) >= 4;
}
