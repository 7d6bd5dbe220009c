// npm run bench:webgpu: a training step on tfjs's own backend with composed operations, and on ours, on the same adapter, each
// in a process of its own: dispatches, submissions, peak device memory, bytes moved, seconds. Then products in every weight format,
// and steps of real models' shapes beside PyTorch with PEFT on the same GPU. BENCH_SOFTWARE=1 takes Chromium's SwiftShader,
// BENCH_SOFTWARE=lavapipe Mesa's, and sizes that they can do.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import '../../src-main/engine/gradients.ts';
import { findAdapter, type FoundAdapter } from '../../src-main/engine/webgpu/adapter.ts';
import { registerAddN } from '../../src-main/engine/webgpu/add-n.ts';
import type { Backend } from '../../src-main/engine/webgpu/backend.ts';
import { Device } from '../../src-main/engine/webgpu/device.ts';
import { empty } from '../../src-main/engine/webgpu/kernel.ts';
import { frozenProduct } from '../../src-main/engine/webgpu/kernels/frozen.ts';
import { bytesOfRows, WEIGHT_FORMATS } from '../../src-main/engine/weight-formats.ts';
import { openWebgpu } from '../../src-main/engine/webgpu/open.ts';
import { findDriver } from '../support/drivers.ts';
import { countBytes } from './webgpu-bytes.ts';
import { besidePeer, SHAPES, TINY_SHAPES } from './webgpu-peer.ts';
import { llamaConfig, randomBatch, randomStep } from '../support/random-step.ts';

const CONFIG = llamaConfig();
const BATCH = { rows: 2, length: 128 };
const STEPS = 3;

interface Counts {
  dispatches: number;
  submits: number;
  uploaded: number;
  peakBytes: number;
  allocated: number;
}

/** Counts what the device is asked to do, whichever backend asks. */
function countCalls(): Counts {
  const counts: Counts = { dispatches: 0, submits: 0, uploaded: 0, peakBytes: 0, allocated: 0 };
  type Methods = Record<string, (...args: unknown[]) => unknown>;
  const wrap = (type: string, method: string, before: (self: unknown, args: unknown[]) => void) => {
    const { prototype } = (globalThis as unknown as Record<string, { prototype: Methods }>)[type]!;
    const original = prototype[method]!;
    prototype[method] = function (...args: unknown[]) {
      before(this, args);
      return original.apply(this, args);
    };
  };
  wrap('GPUComputePassEncoder', 'dispatchWorkgroups', () => counts.dispatches++);
  wrap('GPUQueue', 'submit', () => counts.submits++);
  wrap('GPUQueue', 'writeBuffer', (_, args) => (counts.uploaded += args[4] as number));
  wrap('GPUDevice', 'createBuffer', (_, args) => {
    const { size, mappedAtCreation } = args[0] as GPUBufferDescriptor;
    if (mappedAtCreation) counts.uploaded += size;
    counts.allocated += size;
    counts.peakBytes = Math.max(counts.peakBytes, counts.allocated);
  });
  wrap('GPUBuffer', 'destroy', (self) => (counts.allocated -= (self as GPUBuffer).size));
  return counts;
}

async function openStock(found: FoundAdapter): Promise<void> {
  const device = await Device.open(found);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu: {} }, configurable: true });
  const { WebGPUBackend } = createRequire(import.meta.url)('@tensorflow/tfjs-backend-webgpu') as {
    WebGPUBackend: new (device: GPUDevice, info: GPUAdapterInfo) => tf.KernelBackend;
  };
  const stock = Object.assign(new WebGPUBackend(device.gpu, found.adapter.info), { opened: device });
  tf.registerBackend('webgpu', () => stock);
  registerAddN(); // without it tfjs's own fails on the global norm
}

interface Measured extends Counts {
  seconds: number;
  /** of this process, on all its threads: a software GPU's time, whatever else runs */
  processorSeconds: number;
  /** read and written by dispatches; of our kernels alone, whose tiles are known */
  bytes: number;
  loss: number;
}

async function measure(kind: 'composed' | 'ours', found: FoundAdapter): Promise<Measured> {
  const counts = countCalls();
  if (kind === 'composed') await openStock(found);
  const traffic = kind === 'ours' ? countBytes(await openWebgpu()) : { bytes: NaN };
  await tf.setBackend('webgpu');
  const step = await randomStep(CONFIG, { recompute: true });
  const batch = randomBatch(CONFIG, BATCH.rows, BATCH.length);
  await step.run(1, [batch], 1e-4); // compiles, uploads
  let [seconds, processorSeconds, loss] = [Infinity, Infinity, NaN];
  for (let n = 0; n < STEPS; n++) {
    Object.assign(counts, { dispatches: 0, submits: 0, uploaded: 0 });
    traffic.bytes = 0;
    const [start, before] = [performance.now(), process.cpuUsage()];
    ({ loss } = await step.run(n + 2, [batch], 1e-4));
    seconds = Math.min(seconds, (performance.now() - start) / 1000);
    const { user, system } = process.cpuUsage(before);
    processorSeconds = Math.min(processorSeconds, (user + system) / 1e6);
  }
  return { ...counts, seconds, processorSeconds, bytes: traffic.bytes, loss };
}

/** Products with every weight format: operations a second, and bytes of weights read a second. */
async function kernels(backend: Backend): Promise<void> {
  const [tokens, rows, columns] = backend.opened.found.software ? [64, 256, 256] : [1024, 4096, 4096];
  for (const format of WEIGHT_FORMATS) {
    const words = bytesOfRows(format, rows!, columns!) / 4;
    const tensor = format === 'f32' ? empty(backend, [words]) : empty(backend, [words], 'int32');
    const matrix = { format, rows: rows!, columns: columns!, parts: [{ tensor, start: 0, rows: rows! }] };
    const [x, y] = [empty<Tensor2D>(backend, [tokens!, columns!]), empty<Tensor2D>(backend, [tokens!, rows!])];
    const run = async (times: number) => {
      const start = performance.now();
      for (let n = 0; n < times; n++) frozenProduct(backend, x, matrix, y);
      backend.flush();
      await backend.queue.onSubmittedWorkDone();
      return (performance.now() - start) / 1000 / times;
    };
    await run(1);
    const seconds = await run(10);
    console.log(
      `  x W^T [${tokens}, ${columns}] x [${rows}, ${columns}] ${format}: ${((2e-9 * tokens! * rows! * columns!) / seconds).toFixed(1)} GFLOPS, weights at ${((4e-9 * words) / seconds).toFixed(2)} GB/s`,
    );
    tf.dispose([tensor, x, y]);
  }
}

if (process.env.BENCH_SOFTWARE) {
  const driver = findDriver(process.env.BENCH_SOFTWARE === 'lavapipe' ? 'lavapipe' : 'SwiftShader');
  if ('missing' in driver) throw new Error(driver.missing);
  process.env.VK_ICD_FILENAMES = driver.file;
  process.env.EFFILORA_WEBGPU = 'software';
}
const found = await findAdapter();
if (typeof found === 'string') throw new Error(found);
const kind = process.argv[2] as 'composed' | 'ours' | 'kernels' | undefined;
if (kind === 'kernels') await kernels(await openWebgpu());
else if (kind) console.log(JSON.stringify(await measure(kind, found)));
else {
  console.log(`${found.device}, ${JSON.stringify(BATCH)} tokens, ${CONFIG.layers} layers of ${CONFIG.hiddenSize}`);
  const inProcess = (what: string) =>
    spawnSync(process.execPath, ['--import', 'tsx', fileURLToPath(import.meta.url), what], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    }).stdout.trim();
  const last = (text: string) => JSON.parse(text.split('\n').at(-1)!) as Measured;
  const [composed, ours] = [last(inProcess('composed')), last(inProcess('ours'))];
  const line = (name: string, of: (measured: Measured) => number, unit = 1) =>
    console.log(
      `${name}: composed ${(of(composed) / unit).toFixed(2)}, ours ${(of(ours) / unit).toFixed(2)}, ratio ${(of(composed) / of(ours)).toFixed(2)}`,
    );
  line('dispatches a step', ({ dispatches }) => dispatches);
  line('submissions a step', ({ submits }) => submits);
  line('peak device memory, MiB', ({ peakBytes }) => peakBytes, 2 ** 20);
  line('bytes to the device a step, KiB', ({ uploaded }) => uploaded, 2 ** 10);
  line('seconds a step', ({ seconds }) => seconds);
  line('processor seconds a step', ({ processorSeconds }) => processorSeconds);
  console.log(`bytes through memory a step: ours ${(ours.bytes / 2 ** 20).toFixed(1)} MiB`);
  line('loss', ({ loss }) => loss);
  console.log(inProcess('kernels'));
  for (const shape of found.software ? TINY_SHAPES : SHAPES)
    for (const precision of ['f32', 'bf16'] as const) await besidePeer(shape, precision);
}
process.exit(0);
