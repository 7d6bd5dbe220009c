import { noSoftwareGpu, softwareGpu } from '../support/software-gpu.ts';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import '../../src-main/engine/gradients.ts';
import { findAdapter, type FoundAdapter } from '../../src-main/engine/webgpu/adapter.ts';
import { registerAddN } from '../../src-main/engine/webgpu/add-n.ts';
import { registerWebgpu } from '../../src-main/engine/webgpu/backend.ts';
import { Device } from '../../src-main/engine/webgpu/device.ts';
import { registerWebgpuKernels } from '../../src-main/engine/webgpu/fused.ts';
import { checkCase } from './check.ts';

// A device with none of the features that not every GPU has. This case goes through every sum across a workgroup.
describe.skipIf(noSoftwareGpu)(
  `webgpu without subgroups on ${softwareGpu}${noSoftwareGpu ? `: ${noSoftwareGpu}` : ''}`,
  () => {
    let device: Device;
    beforeAll(async () => {
      device = await Device.open((await findAdapter()) as FoundAdapter, []);
      const backend = registerWebgpu(device);
      registerAddN();
      registerWebgpuKernels(backend);
      await tf.setBackend('webgpu');
    });

    it('trains as PyTorch does', async () => {
      expect(device.has('subgroups')).toBe(false);
      await checkCase('clip-and-decay');
      expect(device.log).toEqual([]);
    });
  },
);
