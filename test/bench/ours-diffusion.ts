// Our side of the diffusion benchmark, in a process of its own. Reads one JSON line of options, answers "run N" lines with N steps' or paintings' seconds.
import { createInterface } from 'node:readline';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../src-main/effilora/adamw.ts';
import { headsPerSite } from '../../src-main/effilora/methods/structure.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { DiffusionModel } from '../../src-main/models/diffusion/pipeline/model.ts';
import { openDiffusionFolder } from '../../src-main/models/diffusion/pipeline/open-folder.ts';
import { developed, paintLatents } from '../../src-main/models/diffusion/pipeline/paint.ts';
import type { DiffusionBatch } from '../../src-main/tasks/diffusion/batch.ts';
import { DiffusionNetwork } from '../../src-main/tasks/diffusion/network.ts';
import { noiseObjective } from '../../src-main/tasks/diffusion/objective.ts';
import { TrainingStep } from '../../src-main/trainer/step.ts';
import { adapterStructure, type DiffusionOptions } from './options.ts';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const options = JSON.parse((await lines.next()).value as string) as DiffusionOptions;
process.env.OMP_NUM_THREADS = String(options.threads);
await openEngine('tensorflow');
const model = await DiffusionModel.load(await openDiffusionFolder(options.folder), options.weights ?? 'auto');
const network = new DiffusionNetwork(model);
const targets = ['attn1', 'attn2'].flatMap((place) => ['to_q', 'to_k', 'to_v', 'to_out'].map((each) => `unet.${place}.${each}`)); // prettier-ignore
const structure = { ...adapterStructure(options), targets };
const adapter = new Adapter(network.sites(), structure, 1);

/** Noise, the same at every step. */
function batch(): DiffusionBatch {
  const { pictures, size, factor, tokens } = options;
  const side = size / factor;
  const numbers = (count: number) =>
    Float32Array.from({ length: count }, (_, i) => Math.sin(1 + 2.3 * i + 0.37 * i * i));
  const latents = pictures * side * side * model.file.vae.latentChannels;
  const noised = {
    ...{ pictures, height: side, width: side, channels: model.file.vae.latentChannels },
    ...{ noised: numbers(latents), target: numbers(latents), weights: new Float32Array(pictures).fill(1) },
    ...{ times: Float32Array.from({ length: pictures }, (_, i) => (i * 331) % 1000), sizes: [] },
    texts: { context: numbers(pictures * tokens * model.network.contextWidth), pooled: new Float32Array(0) },
  };
  return { drawn: Array.from({ length: pictures }, () => ({})), noised } as unknown as DiffusionBatch;
}

function training(): (count: number) => Promise<void> {
  const optimizer = new AdamW(adapter.trainables, { ...ADAMW_DEFAULTS, clipNorm: 0 });
  const reducer = new Reducer(adapter.heads, headsPerSite(structure), {
    ...{ ratio: 0, warmup: 1, interval: 1_000_000, beta: 0.85, policy: 'topk', temperature: 1, schedule: 'step' },
    ...{ probe: false, minActivePerSite: 0, seed: 1 },
  });
  const step = new TrainingStep({ ...noiseObjective(network), ready: undefined }, adapter, optimizer, reducer, {
    ...{ routerShare: false, recompute: options.recompute, seed: 1 },
    warn: (line) => process.stderr.write(`${line}\n`),
  });
  const given = batch();
  return async (count) => void (await step.run(count, [given], 1e-4));
}

async function painting(): Promise<() => Promise<void>> {
  const vae = await model.vae();
  const { pictures, size, steps } = options;
  const prompts = Array.from({ length: pictures }, () => 'a photo of a cat');
  const asked = { prompts, negative: '', guidance: 5, sampler: 'ddim', steps, height: size, width: size } as const;
  return async () => {
    const latents = await paintLatents(model, { ...asked, seeds: prompts.map((_, i) => i), adaptation: adapter });
    await developed(vae, latents);
    latents.dispose();
  };
}

// As the other side does, and a run once all captions are read.
if (options.work === 'train') model.texts.release();
const work = options.work === 'train' ? training() : await painting();
let count = 0;
let firstStepSeconds = 0;
for await (const line of lines) {
  const seconds: number[] = [];
  const { user, system } = process.cpuUsage();
  const times = Number(line.split(' ')[1]);
  for (let n = times; n > 0; n--) {
    const start = performance.now();
    await work(++count);
    seconds.push((performance.now() - start) / 1000);
    // from the process's start: performance counts from there
    if (count === 1) firstStepSeconds = performance.now() / 1000;
  }
  const used = process.cpuUsage({ user, system });
  const cpuSeconds = (used.user + used.system) / 1e6 / times;
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  process.stdout.write(`${JSON.stringify({ seconds, cpuSeconds, peakBytes, firstStepSeconds })}\n`);
}
process.exit(0);
