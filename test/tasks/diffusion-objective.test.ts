import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../src-main/effilora/adamw.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import type { AdapterOptions } from '../../src-main/effilora/types.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { UNet } from '../../src-main/models/diffusion/unet/unet.ts';
import type { NoisedBatch } from '../../src-main/tasks/diffusion/batch.ts';
import { NoiseNetwork } from '../../src-main/tasks/diffusion/network.ts';
import { noiseObjective } from '../../src-main/tasks/diffusion/objective.ts';
import { TrainingStep } from '../../src-main/trainer/step.ts';
import { channelsLast } from '../models/diffusion/support.ts';
import { readAll } from '../models/vision/support.ts';

/** Tiny random UNets with diffusers' predictions (models/data/diffusion/make_unets.py). */
const data = path.join(import.meta.dirname, '../models/data/diffusion/unets');
const OPTIONS: AdapterOptions = {
  ...{ name: 'effilora', rank: 3, heads: 2, alpha: 6, share: 'global', router: 'site', dropout: 0 },
  ...{ targets: ['unet.attn1.to_q', 'unet.attn2.to_k', 'unet.attn2.to_v'], rsLora: false, dora: false },
};

/** The case's pictures as a batch whose targets and weights are made up, and what diffusers' prediction of them costs. */
async function opened(kind: string) {
  const expected = await readAll(path.join(data, kind, 'expected.safetensors'));
  const network = new NoiseNetwork(await UNet.load(path.join(data, kind)), kind);
  const [sample, out] = [channelsLast(expected.get('sample')!), channelsLast(expected.get('out')!)];
  const [pictures, height, width, channels] = sample.shape as [number, number, number, number];
  const target = Float32Array.from(out.values, (_, i) => Math.sin(i));
  const weights = Float32Array.of(1, 0.25);
  const size = height * width * channels;
  const squares = out.values.map((value, i) => (value - target[i]!) ** 2);
  const cost = [0, 1].map((i) => squares.slice(i * size, (i + 1) * size).reduce((sum, one) => sum + one, 0) / size);
  const batch: NoisedBatch = {
    ...{ pictures, height, width, channels, noised: sample.values, target, weights },
    times: Float32Array.from(expected.get('times')!.values),
    context: expected.get('context')!.values,
    pooled: expected.get('text_embeds')?.values ?? new Float32Array(0),
    sizes: [0, 1].map((i) => [...(expected.get('time_ids')?.values ?? []).slice(6 * i, 6 * i + 6)]),
  };
  return { network, batch, objective: noiseObjective(network), cost: cost[0]! + 0.25 * cost[1]! };
}

const steps = (network: NoiseNetwork, options: AdapterOptions, compile: boolean) => {
  const adapter = new Adapter(network.sites(), options, 1);
  const optimizer = new AdamW(adapter.trainables, { ...ADAMW_DEFAULTS });
  const reducer = new Reducer(adapter.heads, options.heads, {
    ...{ ratio: 0.5, warmup: 2, interval: 2, beta: 0.85, policy: 'topk', temperature: 1 },
    ...{ schedule: 'step', probe: true, minActivePerSite: 0, seed: 1 },
  });
  return new TrainingStep(noiseObjective(network), adapter, optimizer, reducer, { routerShare: true, recompute: false, seed: 1, compile }); // prettier-ignore
};

describe('the objective of diffusion', () => {
  it.each(['sd1', 'sdxl'])('costs what diffusers’ prediction is away from its target: %s', async (kind) => {
    await openEngine('cpu');
    const before = tf.memory().numTensors;
    const { network, batch, objective, cost } = await opened(kind);
    const tensors = objective.tensors(batch);
    const loss = objective.lossSum(tensors, { recompute: false });
    expect((await loss.data())[0]).toBeCloseTo(cost, 3);
    expect([objective.terms(batch), objective.units(batch).length]).toEqual([2, 2]);
    tf.dispose([loss, tensors as unknown as tf.TensorContainer]);
    network.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('is trained on by the same steps compiled and not, with dropout and the router’s share at every level', async () => {
    await openEngine('tensorflow');
    const runs: { losses: number[]; shares: number[][] }[] = [];
    for (const compile of [true, false]) {
      const { network, batch } = await opened('sd1');
      const said: string[] = [];
      const step = steps(network, { ...OPTIONS, dropout: 0.1 }, compile);
      step.options.warn = (line) => said.push(line);
      const run: (typeof runs)[number] = { losses: [], shares: [] };
      for (let i = 1; i <= 6; i++) {
        const { loss, routerShare } = await step.run(i, [batch, batch], 0.02);
        run.losses.push(loss);
        run.shares.push([...routerShare!]);
      }
      expect(said).toEqual([]);
      runs.push(run);
      step.dispose();
      step.optimizer.dispose();
      step.adapter.dispose();
      network.dispose();
    }
    const [compiled, eager] = runs as [(typeof runs)[number], (typeof runs)[number]];
    compiled.losses.forEach((loss, i) => expect(loss).toBeCloseTo(eager.losses[i]!, 3));
    expect(compiled.losses.at(-1)!).toBeLessThan(0.99 * compiled.losses[0]!);
    for (const [i, shares] of compiled.shares.entries())
      for (let site = 0; site < shares.length; site += 2) {
        expect(shares[site]! + shares[site + 1]!).toBeCloseTo(1, 4);
        expect(shares[site]!).toBeCloseTo(eager.shares[i]![site]!, 3);
      }
  });
});
