import { noSoftwareGpu, onGpuHere, softwareGpu } from '../support/software-gpu.ts';
import { onWebgpu } from '../support/on-webgpu.ts';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { chooseEngine, listEngines } from '../../src-main/engine/index.ts';
import { UserError } from '../../src-main/engine/types.ts';
import { findAdapter } from '../../src-main/engine/webgpu/adapter.ts';
import type { Backend } from '../../src-main/engine/webgpu/backend.ts';
import { DeviceError } from '../../src-main/engine/device-error.ts';
import { Device } from '../../src-main/engine/webgpu/device.ts';

describe.skipIf(noSoftwareGpu)(
  `the webgpu engine on ${softwareGpu}${noSoftwareGpu ? `: ${noSoftwareGpu}` : ''}`,
  () => {
    let backend: Backend;
    onWebgpu((opened) => (backend = opened));

    it('is listed with device and memory, and a software adapter is not what auto takes', async ({ skip }) => {
      skip(onGpuHere, 'It is about software GPUs');
      const engines = await listEngines();
      const webgpu = engines.find(({ name }) => name === 'webgpu')!;
      expect(webgpu).toMatchObject({ available: true, kind: 'cpu' });
      expect(webgpu.device).toMatch(softwareGpu === 'lavapipe' ? /llvmpipe/ : /swiftshader/i);
      expect(webgpu.memoryBytes).toBeGreaterThan(2 ** 28);
      expect((await chooseEngine()).name).not.toBe('webgpu');
    });

    it('takes a software adapter only when asked', async ({ skip }) => {
      skip(onGpuHere, 'It is about software GPUs');
      process.env.EFFILORA_WEBGPU = '';
      expect(await findAdapter()).toMatch(/software and slow/);
      process.env.EFFILORA_WEBGPU = 'software';
      expect(await findAdapter()).toMatchObject({ software: true });
    });

    it("raises limits to the device's", async () => {
      const { opened } = backend;
      const { limits } = opened.found.adapter;
      expect(opened.gpu.limits.maxStorageBufferBindingSize).toBe(limits.maxStorageBufferBindingSize);
      expect(opened.gpu.limits.maxBufferSize).toBe(limits.maxBufferSize);
      expect(limits.maxBufferSize).toBeGreaterThan(2 ** 28); // what WebGPU guarantees
    });

    it('adds up more tensors than a device can bind', async () => {
      const count = 3 * backend.opened.gpu.limits.maxStorageBuffersPerShaderStage + 2;
      const sum = tf.tidy(() => tf.addN(Array.from({ length: count }, (_, i) => tf.fill([4, 3], i + 0.5))));
      expect([...(await sum.data())]).toEqual(new Array(12).fill((count * (count - 1)) / 2 + count * 0.5));
      sum.dispose();
    });

    it('takes freed memory for the next command before anything is submitted, and gives idle memory back', async () => {
      const size = 2 ** 18;
      const start = backend.pool.numBytesAllocated;
      const x = tf.tidy(() => {
        let y: tf.Tensor = tf.randomUniform([size]);
        for (let i = 0; i < 40; i++) {
          const before = y;
          const next = tf.tidy(() => tf.add(tf.mul(before, 0.5), 1));
          before.dispose();
          y = next;
        }
        return tf.mean(y);
      });
      expect(backend.pool.numBytesAllocated - start).toBeLessThan(5 * 4 * size);
      const [mean] = await x.data();
      expect(mean).toBeCloseTo(2, 4); // the fixed point of y / 2 + 1
      for (let reading = 0; reading < 8; reading++) await tf.add(x, 1).data();
      expect(backend.pool.numBytesAllocated - start).toBeLessThan(4 * size);
      x.dispose();
    });

    it('ends with one sentence about the budget when memory runs out, before and after the device says so', async () => {
      const device = await Device.open(
        (await findAdapter()) as Exclude<Awaited<ReturnType<typeof findAdapter>>, string>,
      );
      device.check();
      const event = new Event('uncapturederror') as Event & { error: unknown };
      event.error = new (
        globalThis as unknown as { GPUOutOfMemoryError: new (message: string) => unknown }
      ).GPUOutOfMemoryError('no more');
      device.gpu.dispatchEvent(event);
      expect(() => device.check()).toThrow(DeviceError);
      expect(() => device.check()).toThrow(/memory.*ran out.*lower training\.batch.*--resume/);
      device.gpu.destroy();
    });

    it('ends with one sentence when the device is lost', async () => {
      const device = await Device.open(
        (await findAdapter()) as Exclude<Awaited<ReturnType<typeof findAdapter>>, string>,
      );
      device.gpu.destroy();
      await device.gpu.lost;
      expect(() => device.check()).toThrow(UserError);
      expect(() => device.check()).toThrow(/stopped working.*--resume/);
    });
  },
);
