import fs from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../src-main/effilora/adamw.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import type { AdapterOptions } from '../../src-main/effilora/types.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { DiffusionModel } from '../../src-main/models/diffusion/pipeline/model.ts';
import { openDiffusionFolder } from '../../src-main/models/diffusion/pipeline/open-folder.ts';
import {
  evaluationBatch,
  trainingBatch,
  type BatchOptions,
  type DiffusionBatch,
} from '../../src-main/tasks/diffusion/batch.ts';
import { openCaptionedDataset, type CaptionedExample } from '../../src-main/tasks/diffusion/dataset.ts';
import { meanError } from '../../src-main/tasks/diffusion/evaluation.ts';
import { DiffusionNetwork } from '../../src-main/tasks/diffusion/network.ts';
import type { NoisedBatch } from '../../src-main/tasks/diffusion/noised.ts';
import { noiseObjective } from '../../src-main/tasks/diffusion/objective.ts';
import { TrainingStep } from '../../src-main/trainer/step.ts';
import { channelsLast, wholePipeline } from '../models/diffusion/support.ts';
import { readAll } from '../models/vision/support.ts';
import { scratchFolder } from '../support/scratch.ts';

const OPTIONS: AdapterOptions = {
  ...{ name: 'effilora', rank: 3, heads: 2, alpha: 6, share: 'global', router: 'site', dropout: 0 },
  ...{ targets: ['unet.attn1.to_q', 'unet.attn2.to_k', 'unet.attn2.to_v'], rsLora: false, dora: false },
};
const FLOW_TARGETS = ['transformer.attention.to_q', 'transformer.feed_forward.w2'];
/** As make_pipelines.py tells the model. */
const PROMPTS = ['a photo of a cat', ''];

let scratch: ReturnType<typeof scratchFolder>;
beforeEach(async () => {
  // Before the cache moves, in which it is installed.
  await openEngine('tensorflow');
  scratch = scratchFolder();
  vi.stubEnv('EFFILORA_CACHE', path.join(scratch.folder, 'cache'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  scratch.remove();
});

async function open(kind: 'sd' | 'sdxl' | 'z-image'): Promise<DiffusionNetwork> {
  const folder = path.join(scratch.folder, kind);
  if (!fs.existsSync(folder)) await wholePipeline(kind, folder);
  return new DiffusionNetwork(await DiffusionModel.load(await openDiffusionFolder(folder)));
}

/** Pictures of one bucket and two sizes. */
async function examples(): Promise<CaptionedExample[]> {
  const folder = path.join(scratch.folder, 'set');
  fs.mkdirSync(folder, { recursive: true });
  for (const [name, width, red] of [['a', 16, 200], ['b', 24, 20]] as const) {
    const rgb = Buffer.from(Array.from({ length: width * 16 * 3 }, (_, i) => (i % 3 === 0 ? red : (i * 7) % 256)));
    await sharp(rgb, { raw: { width, height: 16, channels: 3 } }).png().toFile(path.join(folder, `${name}.png`));
    fs.writeFileSync(path.join(folder, `${name}.txt`), `a photo of ${name}`);
  } // prettier-ignore
  const pictures = { resolution: 16, step: 16, shapes: false, enlarge: false };
  return [...(await openCaptionedDataset({ path: folder }, 0, { pictures, captions: {} })).examples];
}

const DRAWN: BatchOptions = {
  ...{ vary: { crop: 'random', flip: true }, captions: { dropout: 0.2 } },
  noise: { offset: 0, times: 'uniform' },
};

function steps(network: DiffusionNetwork, options: AdapterOptions, compile: boolean) {
  const adapter = new Adapter(network.sites(), options, 1);
  const optimizer = new AdamW(adapter.trainables, { ...ADAMW_DEFAULTS });
  const reducer = new Reducer(adapter.heads, options.heads, {
    ...{ ratio: 0.5, warmup: 2, interval: 2, beta: 0.85, policy: 'topk', temperature: 1 },
    ...{ schedule: 'step', probe: true, minActivePerSite: 0, seed: 1 },
  });
  const warn = (line: string) => {
    throw new Error(line);
  };
  return new TrainingStep(noiseObjective(network), adapter, optimizer, reducer, { routerShare: true, recompute: false, seed: 1, compile, warn }); // prettier-ignore
}

describe('the objective of diffusion', () => {
  it.each(['sd', 'sdxl'] as const)('costs what diffusers’ prediction is away from its target: %s', async (kind) => {
    await openEngine('cpu');
    const before = tf.memory().numTensors;
    const network = await open(kind);
    const objective = noiseObjective(network);
    const expected = await readAll(path.join(scratch.folder, kind, 'expected.safetensors'));
    const [sample, out] = [channelsLast(expected.get('sample')!), channelsLast(expected.get('out')!)];
    const [pictures, height, width, channels] = sample.shape as [number, number, number, number];
    const target = Float32Array.from(out.values, (_, i) => Math.sin(i));
    const size = height * width * channels;
    const squares = [...out.values].map((value, i) => (value - target[i]!) ** 2);
    const cost = [0, 1].map((i) => squares.slice(i * size, (i + 1) * size).reduce((sum, one) => sum + one, 0) / size);
    const noised: NoisedBatch = {
      ...{ pictures, height, width, channels, noised: sample.values, target, weights: Float32Array.of(1, 0.25) },
      times: Float32Array.of(3, 801),
      sizes: [0, 1].map((i) => [...expected.get('sizes')!.values.slice(6 * i, 6 * i + 6)]),
      texts: {
        context: expected.get('context')!.values,
        pooled: expected.get('pooled')?.values ?? new Float32Array(0),
      },
    };
    // With texts as features, and as they are written.
    for (const texts of [noised.texts, { captions: PROMPTS }]) {
      const batch = { drawn: [{}, {}], noised: { ...noised, texts } } as DiffusionBatch;
      const tensors = objective.tensors(batch);
      const loss = objective.lossSum(tensors, { recompute: false });
      expect((await loss.data())[0]).toBeCloseTo(cost[0]! + 0.25 * cost[1]!, 3);
      expect([objective.terms(batch), objective.units(batch).length]).toEqual([2, 2]);
      tf.dispose([loss, tensors as unknown as tf.TensorContainer]);
    }
    network.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it.each([
    ['sd', []],
    ['sdxl', ['text.q_proj', 'text_2.v_proj']],
    // A flow's transformer, whose texts are of other lengths.
    ['z-image', []],
  ] as const)(
    '%s is trained by the same steps compiled and not, with dropout and the router’s share everywhere: texts %j',
    async (kind, texts) => {
      const runs: { losses: number[]; shares: number[][]; heldOut: number }[] = [];
      for (const compile of [true, false]) {
        const network = await open(kind);
        const set = await examples();
        const targets = kind === 'z-image' ? FLOW_TARGETS : [...OPTIONS.targets, ...texts];
        const step = steps(network, { ...OPTIONS, dropout: 0.1, targets }, compile);
        const run: (typeof runs)[number] = { losses: [], shares: [], heldOut: 0 };
        for (let i = 1; i <= 3; i++) {
          const batches = [0, 1].map((micro) => trainingBatch(set, { seed: 3, step: i, micro }, DRAWN));
          const { loss, routerShare } = await step.run(i, batches, 0.02);
          run.losses.push(loss);
          run.shares.push([...routerShare!]);
        }
        // Where the steps have left the adapter, in their graph's memory or outside of it.
        run.heldOut = (await meanError(network, set, step.adapter)).loss;
        runs.push(run);
        for (const one of [step, step.optimizer, step.adapter, network]) one.dispose();
      }
      const [compiled, eager] = runs as [(typeof runs)[number], (typeof runs)[number]];
      compiled.losses.forEach((loss, i) => expect(loss).toBeCloseTo(eager.losses[i]!, 3));
      expect(compiled.heldOut).toBeCloseTo(eager.heldOut, 3);
      for (const [i, shares] of compiled.shares.entries())
        for (let site = 0; site < shares.length; site += 2) {
          expect(shares[site]! + shares[site + 1]!).toBeCloseTo(1, 4);
          expect(shares[site]!).toBeCloseTo(eager.shares[i]![site]!, 3);
        }
    },
  );

  it('looks at each cut of a picture and each caption once, and holds no VAE once all were seen, nor text encoders in a training', async () => {
    await openEngine('cpu');
    const network = await open('sd');
    const set = await examples();
    const vae = vi.spyOn(network.model, 'vae');
    const read = vi.spyOn(network.model.texts, 'features');
    const tensors = tf.memory().numTensors;
    const objective = noiseObjective(network);
    const ready = async (step: number) => objective.ready!(trainingBatch(set, { seed: 3, step, micro: 0 }, DRAWN), {} as Adapter); // prettier-ignore
    const first: DiffusionBatch[] = [];
    for (let step = 1; step <= 30; step++) first.push(await ready(step));
    const [loads, texts] = [vae.mock.calls.length, read.mock.calls.length];
    // Two captions and the empty one.
    expect([loads > 0, texts]).toEqual([true, 3]);
    for (let step = 1; step <= 30; step++) expect(await ready(step)).toEqual(first[step - 1]);
    expect([vae.mock.calls.length, read.mock.calls.length, tf.memory().numTensors]).toEqual([loads, texts, tensors]);
    // A training looks at all beforehand, and its text encoder leaves; another caption brings it back for that batch.
    const ahead = async function* () {
      yield trainingBatch(set, { seed: 3, step: 1, micro: 0 }, DRAWN);
    };
    await objective.beforehand!(ahead(), {} as Adapter, () => undefined);
    const { text } = network.model.file.tensors;
    expect([text!.length > 0, tf.memory().numTensors]).toEqual([true, tensors - text!.length]);
    const unseen = set.map((example): CaptionedExample => ({ ...example, caption: 'a mat' }));
    const whole = { ...DRAWN, captions: { dropout: 0 } };
    await objective.ready!(trainingBatch(unseen, { seed: 3, step: 1, micro: 0 }, whole), {} as Adapter);
    expect(read.mock.calls.length).toBe(texts + 1);
    expect(tf.memory().numTensors).toBe(tensors);
    expect(await ready(1)).toEqual(first[0]);
    expect(tf.memory().numTensors).toBe(tensors - text!.length);
    const another = await open('sd');
    expect(await noiseObjective(another).ready!(trainingBatch(set, { seed: 3, step: 7, micro: 0 }, DRAWN), {} as Adapter)).toEqual(first[6]); // prettier-ignore
    another.dispose();
    // Four times of each of both pictures: their mean is the mean of what each batch costs.
    const { loss, error, examples: count } = await meanError(network, set);
    let sum = 0;
    for (let turn = 0; turn < 4; turn++) {
      const batch = await objective.ready!(evaluationBatch(set, turn), {} as Adapter);
      const own = objective.tensors(batch);
      const cost = objective.lossSum(own, { recompute: false });
      sum += (await cost.data())[0]!;
      tf.dispose([cost, own as unknown as tf.TensorContainer]);
    }
    expect([count, error! > 0]).toEqual([2, true]);
    expect(loss).toBeCloseTo(sum / 8, 4);
    expect(tf.memory().numTensors).toBe(tensors - text!.length);
    network.dispose();
  });
});
