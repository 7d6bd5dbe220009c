import fs from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import type { AdapterOptions } from '../../src-main/effilora/types.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { isImplicit } from '../../src-main/engine/implicit-rows.ts';
import { DiffusionModel } from '../../src-main/models/diffusion/pipeline/model.ts';
import { openDiffusionFolder } from '../../src-main/models/diffusion/pipeline/open-folder.ts';
import type { Adaptation } from '../../src-main/models/types.ts';
import { evaluationBatch } from '../../src-main/tasks/diffusion/batch.ts';
import { openCaptionedDataset, type CaptionedExample } from '../../src-main/tasks/diffusion/dataset.ts';
import { DiffusionNetwork } from '../../src-main/tasks/diffusion/network.ts';
import { noiseObjective } from '../../src-main/tasks/diffusion/objective.ts';
import { sharesByTime } from '../../src-main/tasks/diffusion/shares-by-time.ts';
import { evaluatedBatches, meanError } from '../../src-main/tasks/diffusion/evaluation.ts';
import { headEffects } from '../../src-main/trainer/head-effects.ts';
import { wholePipeline } from '../models/diffusion/support.ts';
import { scratchFolder } from '../support/scratch.ts';

const PARTS = 4;
const HEADS = 3;
const OPTIONS: AdapterOptions = {
  ...{ name: 'effilora', rank: 2, heads: HEADS, alpha: 4, share: 'global', router: 'site', dropout: 0 },
  ...{ targets: ['unet.attn1.to_q', 'unet.attn2.to_k', 'text.q_proj'], rsLora: false, dora: false },
};

let scratch: ReturnType<typeof scratchFolder>;
let network: DiffusionNetwork;
let pictures: CaptionedExample[];
beforeAll(async () => {
  // Before the cache moves, in which it is installed.
  await openEngine('tensorflow');
  scratch = scratchFolder();
  vi.stubEnv('EFFILORA_CACHE', path.join(scratch.folder, 'cache'));
  const folder = path.join(scratch.folder, 'sd');
  await wholePipeline('sd', folder);
  network = new DiffusionNetwork(await DiffusionModel.load(await openDiffusionFolder(folder)));
  const set = path.join(scratch.folder, 'set');
  fs.mkdirSync(set);
  // Two of one shape, one of another.
  for (const [i, width] of [16, 16, 32].entries()) {
    const rgb = Buffer.from(Array.from({ length: width * 16 * 3 }, (_, at) => (at * (7 + i)) % 256));
    await sharp(rgb, { raw: { width, height: 16, channels: 3 } }).png().toFile(path.join(set, `${i}.png`));
    fs.writeFileSync(path.join(set, `${i}.txt`), ['a cat', 'a dog', 'two small red dogs'][i]!);
  } // prettier-ignore
  const reading = { pictures: { resolution: 16, step: 8, shapes: true, enlarge: false }, captions: {} };
  pictures = [...(await openCaptionedDataset({ path: set }, 0, reading)).examples];
});
afterAll(() => {
  network.dispose();
  vi.unstubAllEnvs();
  scratch.remove();
});

/** softmax(router x) of one row, by the book. */
function omegaOf(router: ArrayLike<number>, x: number[]): number[] {
  const logits = Array.from({ length: HEADS }, (_, head) =>
    x.reduce((sum, value, at) => sum + value * router[head * x.length + at]!, 0),
  );
  const powers = logits.map((logit) => Math.exp(logit - Math.max(...logits)));
  return powers.map((power) => power / powers.reduce((sum, one) => sum + one));
}

/** What a site reads of one picture at one part of all times: rows of numbers. */
async function readBy(block: number, site: string, picture: CaptionedExample, part: number) {
  const objective = noiseObjective(network);
  let rows: number[][] = [];
  const spy: Adaptation = {
    parameters: () => ({}),
    adapts: (group) => group === 'unet',
    apply: (id, x, y) => {
      const written = isImplicit(x) ? x.written() : x;
      if (id.block === block && id.site === site) rows = written.arraySync();
      return y;
    },
  };
  const batch = await objective.ready!(evaluationBatch([picture], part, PARTS), spy);
  const tensors = objective.tensors(batch);
  tf.tidy(() => void objective.forward(tensors, { adaptation: spy, recompute: false }));
  tf.dispose(tensors as unknown as tf.TensorContainer);
  return { rows, time: batch.noised!.times[0]! };
}

describe('the router’s shares by time', () => {
  it('are the means of softmax(router x) over what the network reads at that much noise, each picture as much as any', async () => {
    const adapter = new Adapter(network.sites(), OPTIONS, 5);
    // Routers that tell something; B is zero, so that the network reads what it reads without an adapter.
    for (const { role, variable } of adapter.trainables)
      if (role === 'router') tf.tidy(() => variable.assign(tf.randomNormal(variable.shape, 0, 2, 'float32', 9)));
    const tensors = tf.memory().numTensors;
    const steps: number[] = [];
    const found = await sharesByTime(network, pictures, adapter, PARTS, { told: (done, of) => void steps.push(done, of) }); // prettier-ignore
    expect(tf.memory().numTensors).toBe(tensors);
    // Two buckets, whose pictures go together.
    expect(steps.slice(-2)).toEqual([2 * PARTS, 2 * PARTS]);
    expect(found.blocks).toEqual(network.blockNames);
    expect([...new Set(found.places.map(({ site }) => site))].sort()).toEqual(['unet.attn1.to_q', 'unet.attn2.to_k']);
    const routers = new Map((await adapter.export()).map(({ name, data }) => [name, data]));
    for (const site of ['unet.attn1.to_q', 'unet.attn2.to_k']) {
      const { block, shares } = found.places.findLast((place) => place.site === site)!;
      for (let part = 0; part < PARTS; part++) {
        const expected = new Array<number>(HEADS).fill(0);
        for (const picture of pictures) {
          const { rows, time } = await readBy(block, site, picture, part);
          expect(Math.floor((time / 1000) * PARTS)).toBe(part);
          for (const row of rows)
            omegaOf(routers.get(`layers.${block}.${site}.router`)!, row).forEach(
              (omega, head) => (expected[head]! += omega / rows.length / pictures.length),
            );
        }
        shares[part]!.forEach((share, head) => expect(share).toBeCloseTo(expected[head]!, 3));
      }
      const apart = Math.max(...shares[0]!.map((share, head) => Math.abs(share - shares[PARTS - 1]![head]!)));
      // A caption is the same at any time; what lies in the picture is not.
      if (site === 'unet.attn2.to_k') expect(apart).toBeLessThan(1e-4);
      else expect(apart).toBeGreaterThan(0.01);
    }
    adapter.dispose();
  });

  it('are refused for an adapter without a router, by a sentence', async () => {
    const adapter = new Adapter(network.sites(), { ...OPTIONS, name: 'lora', heads: 1 }, 5);
    await expect(sharesByTime(network, pictures, adapter, PARTS, {})).rejects.toThrow('has no router');
    adapter.dispose();
  });

  it('stop where nobody wants the rest', async () => {
    const adapter = new Adapter(network.sites(), OPTIONS, 5);
    const told = (done: number) => {
      if (done === 2) throw new Error('enough');
    };
    await expect(sharesByTime(network, pictures, adapter, PARTS, { told })).rejects.toThrow('enough');
    expect(adapter.observeRouter).toBeUndefined();
    adapter.dispose();
  });
});

describe('what each head does to the loss of pictures', () => {
  it('to first order is the slope of what an evaluation measures as its B shrinks, in the network and in what reads captions', async () => {
    const adapter = new Adapter(network.sites(), OPTIONS, 5);
    for (const { role, variable } of adapter.trainables)
      if (role === 'B') tf.tidy(() => variable.assign(tf.randomNormal(variable.shape, 0, 0.3, 'float32', 9)));
    const tensors = tf.memory().numTensors;
    const { loss, rises, shares } = await headEffects(noiseObjective(network), adapter, evaluatedBatches(pictures));
    expect(tf.memory().numTensors).toBe(tensors);
    const measured = async () => (await meanError(network, pictures, adapter)).loss;
    expect(Math.abs(loss / (await measured()) - 1)).toBeLessThan(1e-4);
    for (let site = 0; site < shares.length; site += HEADS)
      expect(shares.slice(site, site + HEADS).reduce((sum, share) => sum! + share!, 0)).toBeCloseTo(1, 4);
    const eps = 0.05;
    const most = (group: string) => {
      const own = adapter.heads.flatMap((name, at) => (name.includes(`.${group}.`) ? [at] : []));
      return own.reduce((largest, at) => (Math.abs(rises[at]!) > Math.abs(rises[largest]!) ? at : largest));
    };
    for (const head of [most('unet'), most('text')]) {
      const { variable, firstHead } = adapter.trainables.findLast(
        ({ firstHead: first }) => first !== undefined && first <= head,
      )!;
      const before = variable.clone();
      const scaled = async (scale: number) => {
        const rows = Array.from({ length: HEADS * OPTIONS.rank }, (_, row) => Math.floor(row / OPTIONS.rank) === head - firstHead! ? scale : 1); // prettier-ignore
        tf.tidy(() => variable.assign(tf.mul(before, tf.tensor2d(rows, [rows.length, 1]))));
        return measured();
      };
      const slope = ((await scaled(1 - eps)) - (await scaled(1 + eps))) / (2 * eps);
      variable.assign(before);
      before.dispose();
      expect(Math.abs(rises[head]! / slope - 1), adapter.heads[head]).toBeLessThan(0.05);
    }
    adapter.dispose();
  });
});
