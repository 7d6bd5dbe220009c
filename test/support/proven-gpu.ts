import fs from 'node:fs';
import path from 'node:path';
import { vi } from 'vitest';
import { forgetGpus, keepProof } from '../../src-main/engine/devices.ts';
import { listEngines } from '../../src-main/engine/index.ts';
import { expectedInstallation } from '../../src-main/engine/tensorflow/install.ts';
import { withNvidiaSmi } from './nvidia-smi.ts';

/** What the larger of the two GPUs has free, bytes. */
export const FREE_BYTES = (81_920 - 12_288) * 2 ** 20;

/**
 * Makes this process, and those that it starts, see two NVIDIA GPUs, on the larger of which TensorFlow passed its try: with an engine's
 * cache in `folder`. `vi.unstubAllEnvs()` and `forgetGpus()` end it.
 */
export async function withProvenGpu(folder: string): Promise<void> {
  const { folder: installed } = await expectedInstallation();
  fs.mkdirSync(path.join(folder, 'engine'));
  fs.symlinkSync(installed, path.join(folder, 'engine', path.basename(installed).replace('-cpu-', '-cuda-')));
  vi.stubEnv('EFFILORA_CACHE', folder);
  vi.stubEnv('PATH', withNvidiaSmi(folder));
  forgetGpus();
  const [untried] = (await listEngines({})).flatMap((status) => status.untried ?? []);
  await keepProof(untried!.of, { passed: true, reason: 'Right', seconds: 1 });
}
