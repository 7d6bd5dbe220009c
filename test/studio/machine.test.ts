import { afterEach, describe, expect, it, vi } from 'vitest';
import { machineStatus } from '../../src-main/studio/machine.ts';
import { withNvidiaSmi } from '../support/nvidia-smi.ts';
import { scratchFolder } from '../support/scratch.ts';

describe('what the machine has', () => {
  const scratch = scratchFolder();
  afterEach(() => {
    vi.unstubAllEnvs();
    scratch.remove();
  });

  it('names each GPU with its load and memory, and none where nothing tells', async () => {
    vi.stubEnv('PATH', withNvidiaSmi(scratch.folder));
    const MIB = 2 ** 20;
    expect((await machineStatus(scratch.folder)).gpus).toEqual([
      { name: 'NVIDIA GeForce GT 710', memoryBytes: 2048 * MIB, usedBytes: 100 * MIB, busy: 0 },
      { name: 'NVIDIA H100 80GB HBM3', memoryBytes: 81920 * MIB, usedBytes: 12288 * MIB, busy: 0.63 },
    ]);
    vi.stubEnv('PATH', scratch.folder);
    expect((await machineStatus(scratch.folder)).gpus).toEqual([]);
  });
});
