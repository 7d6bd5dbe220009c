import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { forked, type Child, type Launch } from '../../src-main/engine/child.ts';
import {
  listGpus,
  nvidiaGpus,
  SHARED_MEMORY_SHARE,
  system,
  vendorOf,
  type Controller,
  type GpuSources,
} from '../../src-main/engine/devices/gpus.ts';
import { forgetGpus } from '../../src-main/engine/devices/here.ts';
import { probe, type ProbeAnswer, type ProbeAsked } from '../../src-main/engine/devices/probe.ts';
import { isRight, largestError } from '../../src-main/engine/devices/right-numbers.ts';
import { keepProof } from '../../src-main/engine/devices/proof.ts';
import type { Trying } from '../../src-main/engine/devices/status.ts';
import { chosenOf, inOrder, listEngines, openEngine } from '../../src-main/engine/index.ts';
import { expectedInstallation } from '../../src-main/engine/tensorflow/install.ts';
import type { EngineStatus } from '../../src-main/engine/types.ts';
import { ownFacts } from '../../src-main/engine/webgpu/adapter.ts';
import { builtProcess } from '../support/built.ts';
import { withNvidiaSmi, TWO_GPUS } from '../support/nvidia-smi.ts';

const MIB = 2 ** 20;
const scratch = { folder: '' };
beforeEach(() => {
  scratch.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-devices-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  forgetGpus();
  fs.rmSync(scratch.folder, { recursive: true });
});

describe('the GPUs of a machine', () => {
  /** A machine on which nothing is found but what is told. */
  const machine = (told: Partial<GpuSources>): GpuSources => ({
    nvidiaSmi: () => Promise.resolve([]),
    nvidiaProcesses: () => Promise.resolve([]),
    drmFolder: path.join(scratch.folder, 'no drm'),
    controllers: () => Promise.resolve([]),
    ...told,
  });
  const controller = (vendor: string, model: string, vram: number | null = null): Controller => ({ vendor, model, vram, vramDynamic: vram === null }); // prettier-ignore

  it('are none where nobody tells of one', async () => {
    expect(await listGpus(machine({}))).toEqual([]);
    expect(await listGpus(machine({ controllers: () => Promise.reject(new Error('no lspci')) }))).toEqual([]);
  });

  it('of NVIDIA come from its driver, with the larger first, and not again from the system', async () => {
    vi.stubEnv('PATH', withNvidiaSmi(scratch.folder));
    const { nvidiaSmi } = system;
    const controllers = () => Promise.resolve([controller('NVIDIA Corporation', 'GH100', 81920)]);
    const gpus = await listGpus(machine({ nvidiaSmi, controllers }));
    expect(gpus.map(({ name, computeCapability, uuid }) => [name, computeCapability, uuid])).toEqual([
      ['NVIDIA H100 80GB HBM3', '9.0', 'GPU-bbbb'],
      ['NVIDIA GeForce GT 710', '3.5', 'GPU-aaaa'],
    ]);
    expect(gpus[0]).toMatchObject({ memoryBytes: 81920 * MIB, freeBytes: (81920 - 12288) * MIB, busy: 0.63 });
    expect(gpus[1]).toMatchObject({ vendor: 'nvidia', driver: '570.133.07', busy: undefined });
  });

  it('of NVIDIA are known to a driver, too, that does not know compute capabilities', async () => {
    const old = TWO_GPUS.map(({ compute_cap, ...known }) => (void compute_cap, known));
    vi.stubEnv('PATH', withNvidiaSmi(scratch.folder, old));
    const [first] = await nvidiaGpus();
    expect(first).toMatchObject({ name: 'NVIDIA GeForce GT 710', computeCapability: undefined });
  });

  it.each([
    ['1', ['NVIDIA H100 80GB HBM3']],
    ['GPU-aa', ['NVIDIA GeForce GT 710']],
    ['-1', []],
    ['', []],
  ])('of NVIDIA are those alone that CUDA_VISIBLE_DEVICES=%s leaves', async (visible, names) => {
    vi.stubEnv('PATH', withNvidiaSmi(scratch.folder));
    vi.stubEnv('CUDA_VISIBLE_DEVICES', visible);
    expect((await nvidiaGpus()).map(({ name }) => name)).toEqual(names);
  });

  it('of NVIDIA are none in a container that shows the driver without a device', async () => {
    vi.stubEnv('PATH', withNvidiaSmi(scratch.folder, []));
    expect(await nvidiaGpus()).toEqual([]);
  });

  it('of AMD come from the kernel, whatever the system calls their maker', async () => {
    const card = path.join(scratch.folder, 'drm', 'card1', 'device');
    fs.mkdirSync(card, { recursive: true });
    fs.mkdirSync(path.join(scratch.folder, 'drm', 'card1-DP-1'));
    const facts = {
      vendor: '0x1002',
      mem_info_vram_total: 16 * 1024 * MIB,
      mem_info_vram_used: 1024 * MIB,
      gpu_busy_percent: 25,
    };
    for (const [name, value] of Object.entries(facts)) fs.writeFileSync(path.join(card, name), `${value}\n`);
    const drmFolder = path.join(scratch.folder, 'drm');
    const controllers = () =>
      Promise.resolve([controller('Advanced Micro Devices, Inc. [AMD/ATI]', 'Radeon RX 7800 XT', 256)]);
    expect(await listGpus(machine({ drmFolder, controllers }))).toEqual([
      {
        vendor: 'amd',
        name: 'Radeon RX 7800 XT',
        memoryBytes: 16 * 1024 * MIB,
        freeBytes: 15 * 1024 * MIB,
        busy: 0.25,
      },
    ]);
    // Windows tells the same without a kernel that shows it.
    expect(await listGpus(machine({ controllers: () => Promise.resolve([controller('Advanced Micro Devices, Inc.', 'AMD Radeon RX 7900 XTX', 24_560)]) }))).toEqual([
      { vendor: 'amd', name: 'AMD Radeon RX 7900 XTX', memoryBytes: 24_560 * MIB },
    ]); // prettier-ignore
  });

  it('without memory of their own take a share of the machine’s, and come after those with more', async () => {
    const both = [controller('Intel Corporation', 'Iris Xe'), controller('Intel Corporation', 'Arc A770', 2 ** 30)];
    const gpus = await listGpus(machine({ controllers: () => Promise.resolve(both) }));
    expect(gpus.map(({ name }) => name)).toEqual(['Arc A770', 'Iris Xe']);
    expect(gpus[1]!.memoryBytes).toBe(os.totalmem() * SHARED_MEMORY_SHARE);
  });

  it('are WebGPU’s by their names, with their free memory', async () => {
    vi.stubEnv('PATH', withNvidiaSmi(scratch.folder));
    const of = (device: string, vendor = 'nvidia') => ownFacts({ vendor }, device);
    expect(await of('NVIDIA GeForce GT 710')).toEqual({ memoryBytes: 2048 * MIB, freeBytes: 1948 * MIB, driver: '570.133.07' }); // prettier-ignore
    // A name that the system does not know: the vendor's largest.
    expect(await of('NVIDIA GPU')).toMatchObject({ memoryBytes: 81920 * MIB, freeBytes: (81920 - 12288) * MIB });
    expect(await of('Apple M4', 'apple')).toEqual({ memoryBytes: os.totalmem() * SHARED_MEMORY_SHARE });
  });

  it('that only show a screen are none', async () => {
    const controllers = () =>
      Promise.resolve([controller('Red Hat, Inc.', 'Virtio GPU', 16), controller('', 'ASPEED', 8)]);
    expect(await listGpus(machine({ controllers }))).toEqual([]);
  });

  it.each([
    ['NVIDIA Corporation', 'nvidia'],
    ['Advanced Micro Devices, Inc.', 'amd'],
    ['ATI Technologies Inc', 'amd'],
    ['AMD', 'amd'],
    ['Intel(R) Corporation', 'intel'],
    ['Apple', 'apple'],
    ['Cirrus Logic', 'other'],
    ['Imagination Technologies', 'other'],
  ])('are of %s: %s', (text, vendor) => expect(vendorOf(text)).toBe(vendor));
});

describe('a try of an engine', () => {
  it.each(['tensorflow', 'wasm', 'cpu'] as const)('passes with %s in a process of its own', async (engine) => {
    const { passed, reason, seconds } = await probe({ engine, gpu: false }, forked);
    expect([passed, reason]).toEqual([true, 'A product, a softmax and a gradient came out right on it']);
    expect(seconds).toBeGreaterThan(0);
  });

  it('fails where it would run on the processor under a GPU’s name', async () => {
    const { passed, reason } = await probe({ engine: 'tensorflow', gpu: true, uuid: 'GPU-bbbb' }, forked);
    expect([passed, reason]).toEqual([false, 'It started, but on the processor: it does not see the GPU']);
  });

  it('fails in a sentence where the engine can’t start', async () => {
    vi.stubEnv('EFFILORA_CACHE', scratch.folder);
    const { passed, reason } = await probe({ engine: 'tensorflow', gpu: false }, forked);
    expect(passed).toBe(false);
    expect(reason).toMatch(/^It failed when it was tried: The tensorflow engine is not set up/);
  });

  /** A process that is really started, and is another program. */
  const instead =
    (source: string): Launch =>
    (_, options) => {
      const file = path.join(scratch.folder, 'instead.mjs');
      fs.writeFileSync(file, source);
      return forked(file, options);
    };

  it('fails, and only that process, where a driver crashes', async () => {
    const crash =
      "process.on('message', () => { console.error('vkCreateDevice failed'); process.kill(process.pid, 'SIGSEGV'); });";
    const { passed, reason } = await probe({ engine: 'webgpu', gpu: true }, instead(crash));
    expect([passed, reason]).toEqual([false, 'WebGPU ended (SIGSEGV) when it was tried: vkCreateDevice failed']);
  });

  it('fails where a driver hangs, and nothing of it stays', async () => {
    let child: Child | undefined;
    const hangs = instead("process.on('SIGTERM', () => {}); setInterval(() => {}, 1000);");
    const { passed, reason } = await probe(
      { engine: 'tensorflow', gpu: true },
      (...all) => (child = hangs(...all)),
      300,
    );
    expect([passed, reason]).toEqual([false, 'TensorFlow gave no answer within 0.3 seconds when it was tried']);
    await expect.poll(() => isThere(child!.processId!)).toBe(false);
  });

  it('knows numbers that are wrong, or none', async () => {
    await openEngine('cpu');
    expect(isRight(await largestError())).toBe(true);
    const softmax = tf.getKernel('Softmax', 'cpu');
    for (const factor of [1.02, NaN])
      try {
        tf.unregisterKernel('Softmax', 'cpu');
        const kernelFunc: tf.KernelFunc = (asked) => {
          const { dataId, shape } = softmax.kernelFunc(asked) as tf.TensorInfo;
          return tf.tensor(
            (tf.backend().readSync(dataId) as Float32Array).map((value) => value * factor),
            shape,
          );
        };
        tf.registerKernel({ ...softmax, kernelFunc });
        expect(isRight(await largestError()), `times ${factor}`).toBe(false);
      } finally {
        tf.unregisterKernel('Softmax', 'cpu');
        tf.registerKernel(softmax);
      }
  });
});

describe('what engines say of themselves', () => {
  /** Counts what is tried, and answers for it. */
  const answering = (answer: ProbeAnswer) => {
    const asked: ProbeAsked[] = [];
    const launch: Launch = () => {
      let tell: (message: unknown) => void = () => {};
      return {
        processId: undefined,
        send: (message) => (asked.push(message as ProbeAsked), tell(answer)),
        onMessage: (listener) => void (tell = listener),
        onExit: () => {},
        kill: () => {},
      };
    };
    return { launch, asked };
  };
  /** A cache with an engine for GPUs: the one that is here, which sees none. */
  async function withCudaEngine(gpus = TWO_GPUS): Promise<void> {
    const { folder } = await expectedInstallation();
    const cuda = path.basename(folder).replace('-cpu-', '-cuda-');
    fs.mkdirSync(path.join(scratch.folder, 'engine'));
    fs.symlinkSync(folder, path.join(scratch.folder, 'engine', cuda));
    vi.stubEnv('EFFILORA_CACHE', scratch.folder);
    vi.stubEnv('PATH', withNvidiaSmi(scratch.folder, gpus));
    forgetGpus();
  }
  const tensorflow = async (trying: Trying) => (await listEngines(trying)).find(({ name }) => name === 'tensorflow')!;
  const RIGHT: ProbeAnswer = { passed: true, reason: 'It came out right' };

  it('on a GPU where a try passed, which is kept until the driver is another', async () => {
    await withCudaEngine();
    const { launch, asked } = answering(RIGHT);
    const status = await tensorflow({ launch });
    expect(status).toMatchObject({
      available: true,
      kind: 'gpu',
      device: 'NVIDIA H100 80GB HBM3',
      reason: RIGHT.reason,
    });
    expect([status.memoryBytes, status.freeBytes]).toEqual([81920 * MIB, (81920 - 12288) * MIB]);
    expect(asked).toEqual([{ engine: 'tensorflow', gpu: true, uuid: 'GPU-bbbb' }]);
    await tensorflow({ launch });
    expect(asked).toHaveLength(1);
    await tensorflow({ launch, again: true });
    expect(asked).toHaveLength(2);
    withNvidiaSmi(scratch.folder, TWO_GPUS.map((gpu) => ({ ...gpu, driver_version: '580.65.06' }))); // prettier-ignore
    forgetGpus();
    await tensorflow({ launch });
    expect(asked).toHaveLength(3);
  });

  it('on the processor, by name, where a card is too new for it', async () => {
    const card = { ...TWO_GPUS[1]!, name: 'NVIDIA GeForce RTX 5090', compute_cap: '12.0', 'memory.total': '32607' };
    await withCudaEngine([card]);
    const { launch } = answering({ passed: false, reason: 'It failed when it was tried: CUDA_ERROR_INVALID_PTX' });
    const status = await tensorflow({ launch });
    expect(status).toMatchObject({ available: true, kind: 'cpu', device: os.cpus()[0]!.model.trim() });
    expect(status.reason).toBe(
      'It runs on the processor, not on NVIDIA GeForce RTX 5090 (driver 570.133.07, compute capability 12.0). It failed when it was tried: CUDA_ERROR_INVALID_PTX',
    );
  });

  it('on the processor where the engine itself sees no GPU', async () => {
    await withCudaEngine();
    const status = await tensorflow({ launch: forked });
    expect([status.kind, status.available]).toEqual(['cpu', true]);
    expect(status.reason).toMatch(/not on NVIDIA H100.* It started, but on the processor: it does not see the GPU$/);
    // And it does run there.
    const { stdout } = spawnSync(process.execPath, [builtProcess('product.js')], { encoding: 'utf8' });
    expect(stdout).toBe('11\n');
  });

  it('on the processor where nothing can be tried from here, with what is still to be tried', async () => {
    await withCudaEngine();
    const status = await tensorflow({});
    expect(status.kind).toBe('cpu');
    expect(status.untried?.asked).toEqual({ engine: 'tensorflow', gpu: true, uuid: 'GPU-bbbb' });
    const proven = { passed: true, reason: 'Tried elsewhere', seconds: 1 };
    await keepProof(status.untried!.of, proven);
    expect(await tensorflow({})).toMatchObject({ kind: 'gpu', reason: proven.reason, untried: undefined });
  });

  it.each([
    [true, 'An NVIDIA driver is loaded, but nvidia-smi shows no GPU (a container has to be given one): it runs on the processor'], // prettier-ignore
    [false, 'No NVIDIA GPU was found: it runs on the processor'],
  ])('on the processor where no GPU is shown, be a driver loaded or not: %s', async (isLoaded, reason) => {
    vi.stubEnv('PATH', withNvidiaSmi(scratch.folder, []));
    const { existsSync } = fs;
    const there = vi.spyOn(fs, 'existsSync');
    there.mockImplementation((file) => (/^\/proc\/driver\/nvidia\/|libcuda/.test(String(file)) ? isLoaded : existsSync(file))); // prettier-ignore
    expect(await tensorflow({})).toMatchObject({ kind: 'cpu', reason });
    there.mockRestore();
  });

  const one = (name: 'tensorflow' | 'webgpu', kind: 'cpu' | 'gpu', available = true): EngineStatus => ({ name, kind, available, device: 'x', memoryBytes: 1, versions: {}, reason: '' }); // prettier-ignore
  it.each([
    ['CUDA before WebGPU', one('tensorflow', 'gpu'), one('webgpu', 'gpu'), 'tensorflow'],
    ['WebGPU where CUDA is unproven', one('tensorflow', 'cpu'), one('webgpu', 'gpu'), 'webgpu'],
    ['the processor where WebGPU failed, too', one('tensorflow', 'cpu'), one('webgpu', 'gpu', false), 'tensorflow'],
    ['the processor before a software GPU', one('tensorflow', 'cpu'), one('webgpu', 'cpu'), 'tensorflow'],
    ['a proven GPU where TensorFlow is not set up', one('tensorflow', 'cpu', false), one('webgpu', 'gpu'), 'webgpu'],
    ['WebAssembly where there is nothing else', one('tensorflow', 'cpu', false), one('webgpu', 'gpu', false), 'wasm'],
  ])('so that auto takes %s', (_, tensorflow, webgpu, taken) => {
    expect(chosenOf(inOrder(tensorflow, webgpu)).name).toBe(taken);
  });

  it('so that auto takes the GPU engine that holds the model, or says why none does', () => {
    const gpu = (name: 'tensorflow' | 'webgpu') => ({ ...one(name, 'gpu'), memoryBytes: 16e9 });
    const engines = inOrder(gpu('tensorflow'), gpu('webgpu'));
    // A 7B model in 4 bits: CUDA would hold it in f32.
    const held = (bytes: number) => (engine: { name: string }) => (engine.name === 'webgpu' ? bytes : 28e9);
    const chosen = chosenOf(engines, held(4e9));
    expect(chosen.name).toBe('webgpu');
    expect(chosen.reason).toContain('tensorflow: the model takes 28.0 GB there, and x has 16.0 GB');
    expect(chosenOf(engines, held(40e9)).name).toBe('wasm');
    expect(chosenOf(engines, () => 3e9).name).toBe('tensorflow');
  });
});

const isThere = (processId: number) => {
  try {
    return process.kill(processId, 0);
  } catch {
    return false;
  }
};
