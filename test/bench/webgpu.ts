// npm run bench:webgpu: a training step on tfjs's own backend with composed operations, and on ours, on the same adapter, each
// in a process of its own: dispatches, submissions, peak device memory, bytes moved, seconds. On a GPU also kernels' throughput.
// BENCH_SOFTWARE=1 takes Chromium's SwiftShader.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import '../../src-main/engine/gradients.ts';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../src-main/effilora/adamw.ts';
import { headsPerSite } from '../../src-main/effilora/methods/structure.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import { findAdapter, type FoundAdapter } from '../../src-main/engine/webgpu/adapter.ts';
import { registerAddN } from '../../src-main/engine/webgpu/add-n.ts';
import type { Backend } from '../../src-main/engine/webgpu/backend.ts';
import { Device } from '../../src-main/engine/webgpu/device.ts';
import { empty } from '../../src-main/engine/webgpu/kernel.ts';
import { frozenProduct } from '../../src-main/engine/webgpu/kernels/frozen.ts';
import { bytesOfRows, WEIGHT_FORMATS } from '../../src-main/engine/webgpu/kernels/weight-formats.ts';
import { openWebgpu } from '../../src-main/engine/webgpu/open.ts';
import { CausalLM } from '../../src-main/models/causal-lm.ts';
import { DECODER_SITES, type ModelConfig, type TokenBatch } from '../../src-main/models/types.ts';
import { siteWidths, type LayerWeights } from '../../src-main/models/weights.ts';
import { TrainingStep } from '../../src-main/trainer/step.ts';

const CONFIG = {
  ...{ architecture: 'llama', layers: 2, hiddenSize: 64, intermediateSize: 176, attentionHeads: 4, keyValueHeads: 2 },
  ...{ headSize: 16, vocabularySize: 2048, contextLength: 512, normEpsilon: 1e-5, rope: { theta: 1e4 } },
  ...{ tiedEmbeddings: true, activation: 'silu', attentionBias: 'none', mlpBias: false, queryKeyNorm: false },
  ...{ attentionScale: 16 ** -0.5, slidingWindow: [], gemmaNorms: false, eosTokenIds: [] },
} as ModelConfig;
const BATCH = { rows: 2, length: 128 };
const STEPS = 1;

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

function model(): CausalLM {
  const random = (rows: number, columns: number) =>
    tf.keep(tf.randomNormal<tf.Rank.R2>([rows, columns], 0, 0.05, 'float32', 3));
  const norm = (size: number) => tf.keep(tf.ones<tf.Rank.R1>([size]));
  const widths = siteWidths(CONFIG);
  const layers = Array.from({ length: CONFIG.layers }, () => {
    const linears = DECODER_SITES.map((site) => {
      const { inFeatures, outFeatures } = widths[site];
      return [site, { weight: random(outFeatures, inFeatures) }];
    });
    const norms = { inputNorm: norm(CONFIG.hiddenSize), postAttentionNorm: norm(CONFIG.hiddenSize) };
    return { linears: Object.fromEntries(linears) as LayerWeights['linears'], ...norms };
  });
  const embedding = random(CONFIG.vocabularySize, CONFIG.hiddenSize);
  return new CausalLM(CONFIG, { embedding, layers, norm: norm(CONFIG.hiddenSize), head: embedding });
}

function batch(): TokenBatch {
  const tokens = BATCH.rows * BATCH.length;
  const inputIds = Int32Array.from({ length: tokens }, (_, t) => (t * 7919 + 13) % CONFIG.vocabularySize);
  const positions = Int32Array.from(inputIds, (_, t) => t % BATCH.length);
  return { ...BATCH, inputIds, labels: inputIds, positions, segments: new Int32Array(tokens) };
}

function trainingStep(): TrainingStep {
  const base = model();
  const adapter = new Adapter(
    base.sites(),
    {
      ...{ name: 'effilora', rank: 16, heads: 3, alpha: 32, targets: [...DECODER_SITES], share: 'global' },
      ...{ router: 'site', dropout: 0, rsLora: false, dora: false },
    },
    1,
  );
  const reducer = new Reducer(adapter.heads, headsPerSite(adapter.options), {
    ...{ ratio: 0, warmup: 1, interval: 1000, beta: 0.85, policy: 'topk', temperature: 1 },
    ...{ schedule: 'step', probe: true, minActivePerSite: 0, seed: 1 },
  });
  return new TrainingStep(base, adapter, new AdamW(adapter.trainables, ADAMW_DEFAULTS), reducer, {
    ...{ routerShare: true, recompute: true, seed: 1 },
  });
}

interface Measured extends Counts {
  seconds: number;
  loss: number;
}

async function measure(kind: 'composed' | 'ours', found: FoundAdapter): Promise<Measured> {
  const counts = countCalls();
  if (kind === 'composed') await openStock(found);
  else await openWebgpu();
  await tf.setBackend('webgpu');
  const step = trainingStep();
  await step.run(1, [batch()], 1e-4); // compiles, uploads
  let [seconds, loss] = [Infinity, NaN];
  for (let n = 0; n < STEPS; n++) {
    Object.assign(counts, { dispatches: 0, submits: 0, uploaded: 0 });
    const start = performance.now();
    ({ loss } = await step.run(n + 2, [batch()], 1e-4));
    seconds = Math.min(seconds, (performance.now() - start) / 1000);
  }
  return { ...counts, seconds, loss };
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
  process.env.VK_ICD_FILENAMES = '/usr/lib/chromium/vk_swiftshader_icd.json';
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
  line('loss', ({ loss }) => loss);
  if (!found.software) console.log(inProcess('kernels'));
}
process.exit(0);
