import { noSoftwareGpu } from '../support/software-gpu.ts';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src-main/engine/webgpu/backend.ts';
import { countBytes } from '../bench/webgpu-bytes.ts';
import { onWebgpu } from '../support/on-webgpu.ts';
import { llamaConfig, randomBatch, randomStep } from '../support/random-step.ts';

/** What our first kernels took, counted the same way: tiles without registers, scalar loads (docs/engines.md, Measured). */
const BEFORE = 122.6 * 2 ** 20;

describe.skipIf(noSoftwareGpu)(`a step on webgpu${noSoftwareGpu ? `: ${noSoftwareGpu}` : ''}`, () => {
  let backend: Backend;
  onWebgpu((opened) => (backend = opened));

  it('moves at least 1.5 times fewer bytes through memory than with the first kernels', async () => {
    const traffic = countBytes(backend);
    const config = llamaConfig();
    const step = await randomStep(config, { recompute: true });
    const batch = randomBatch(config, 2, 128);
    await step.run(1, [batch], 1e-4); // compiles, uploads
    traffic.bytes = 0;
    await step.run(2, [batch], 1e-4);
    expect(BEFORE / traffic.bytes).toBeGreaterThan(1.5);
    // Each of 320 dispatches moves something: the count counts.
    expect(traffic.bytes).toBeGreaterThan(BEFORE / 5);
  });
});
