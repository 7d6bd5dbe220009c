import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { beforeAll, describe, expect, it } from 'vitest';
import { noiseConfig, readNoiseConfig } from '../../../src-main/models/diffusion/noise/config.ts';
import { drawNoise, drawTime, trainingPlace } from '../../../src-main/models/diffusion/noise/draws.ts';
import { guided, sampleLatents, seededNoise, type Denoiser } from '../../../src-main/models/diffusion/noise/sample.ts';
import { samplingPlan, type SamplerName } from '../../../src-main/models/diffusion/noise/samplers/index.ts';
import { noiseSchedule } from '../../../src-main/models/diffusion/noise/schedule.ts';
import { noiseInto } from '../../../src-main/models/diffusion/noise/training.ts';

/** What diffusers makes of the same start by the same network (../data/diffusion/make_noise.py). */
const expected = JSON.parse(
  fs.readFileSync(path.join(import.meta.dirname, '../data/diffusion/noise.json'), 'utf8'),
) as {
  configs: Record<string, Record<string, unknown>>;
  saved: Record<string, string>;
  training: { config: string; time: number; share?: number; noised: number[]; target: number[]; weight: number }[];
  guidance: Sampled;
  cases: Sampled[];
};

interface Sampled {
  config: string;
  sampler: SamplerName;
  steps: number;
  times: number[];
  latents: number[];
  noises?: number[];
  tokens?: number;
}

const scheduleOf = (config: string) => noiseSchedule(noiseConfig(expected.configs[config], config));
const wave = (seed: number) =>
  Float32Array.from({ length: 12 }, (_, i) => 1.4 * Math.sin(seed + 2.3 * i + 0.37 * i * i));

/** make_noise.py's. */
const network = (x: tf.Tensor, time: number, condition: tf.Tensor | number = 0) =>
  tf.tidy(() => {
    const part = time / 1000;
    const bent = tf.sin(tf.add(tf.add(tf.mul(x, 1.3), time / 300), condition));
    return tf.add(tf.mul(x, Math.sqrt(part)), tf.mul(bent, (1 - part) * 0.3));
  });

async function sampled({ config, sampler, steps, noises, tokens }: Sampled, denoiser: Denoiser = network) {
  const start = tf.tensor(wave(1), [1, 12]);
  const plan = samplingPlan(scheduleOf(config), sampler, steps, { noises, tokens });
  const drawn: tf.Tensor[] = [];
  const noise = (step: number) => (drawn.push(tf.tensor(wave(100 + step), [1, 12])), drawn.at(-1)!);
  const latents = await sampleLatents({ plan, network: denoiser, start, noise });
  const values = [...(await latents.data())];
  tf.dispose([start, latents, ...drawn]);
  return { times: plan.steps.map(({ time }) => time), values };
}

const furthest = (values: ArrayLike<number>, from: number[]) =>
  Math.max(...from.map((value, i) => Math.abs(values[i]! - value)));

beforeAll(async () => {
  await tf.setBackend('cpu');
});

describe('noise', () => {
  it.each(expected.training)('is mixed in and weighed as diffusers does: $config at $time', (told) => {
    const schedule = scheduleOf(told.config);
    const { noised, target, weight } = noiseInto(wave(3), wave(4), told.time, schedule, { minSnr: 5 });
    // Diffusers divides 0 by 0 where nothing of the picture is left.
    if (told.share !== undefined) expect(schedule.shares![told.time]).toBeCloseTo(told.share, 6);
    expect(furthest(noised, told.noised)).toBeLessThan(2e-6);
    expect(furthest(target, told.target)).toBeLessThan(2e-6);
    expect(weight).toBeCloseTo(told.weight, 5);
    expect(noiseInto(wave(3), wave(4), told.time, schedule).weight).toBe(1);
  });

  it('of every scheduler is read as diffusers writes it', async () => {
    for (const [name, text] of Object.entries(expected.saved)) {
      const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'noise-')), 'scheduler_config.json');
      fs.writeFileSync(file, text);
      const config = await readNoiseConfig(file);
      expect([name, config.kind, config.trainSteps]).toEqual([name, name.startsWith('Flow') ? 'flow' : 'variance', 1000]); // prettier-ignore
      fs.rmSync(path.dirname(file), { recursive: true });
    }
  });

  it.each([
    [{ _class_name: 'LCMScheduler' }, 'the noise of a "LCMScheduler" is not known here'],
    [{ beta_schedule: 'sigmoid' }, 'the field "beta_schedule" is not usable'],
    [{ prediction_type: 'sample' }, 'the field "prediction_type" is not usable'],
    [
      { final_sigmas_type: 'sigma_min' },
      '"final_sigmas_type" is "sigma_min", which is not supported; supported is "zero"',
    ],
    [{ thresholding: true }, '"thresholding" is true'],
    [{ beta_stat: 0.1 }, '"beta_stat" is 0.1, which is not supported'],
    [{ rescale_betas_zero_snr: true }, 'it needs "v_prediction"'],
    [{ trained_betas: [0.1, 0.2] }, '"trained_betas" has 2 numbers for 1000 steps'],
    [{ _class_name: 'FlowMatchEulerDiscreteScheduler', shift_terminal: 0.1 }, '"shift_terminal" is 0.1'],
  ])('that is not known is refused by name: %j', (changed, message) => {
    expect(() => noiseConfig({ _class_name: 'DDIMScheduler', ...changed }, 'a/scheduler_config.json')).toThrow(message);
  });

  it('is drawn by seed, step, micro-batch and example, and by nothing else', () => {
    const size = { height: 8, width: 8, channels: 4 };
    const at = (...place: Parameters<typeof trainingPlace>) => drawNoise(trainingPlace(...place), size);
    const first = at(7, 3, 0, 1);
    expect(at(7, 3, 0, 1)).toEqual(first);
    for (const other of [at(8, 3, 0, 1), at(7, 4, 0, 1), at(7, 3, 1, 1), at(7, 3, 0, 2), at(7, 31, 0, 1)])
      expect(other).not.toEqual(first);
  });

  it('is normal: 100,000 numbers within four standard errors of their moments', () => {
    const values = drawNoise(trainingPlace(1, 1, 0, 0), { height: 250, width: 100, channels: 4 });
    const mean = (of: (value: number) => number) => values.reduce((sum, value) => sum + of(value), 0) / values.length;
    expect(Math.abs(mean((v) => v))).toBeLessThan(4 / Math.sqrt(1e5));
    expect(Math.abs(mean((v) => v * v) - 1)).toBeLessThan(4 * Math.sqrt(2 / 1e5));
    expect(Math.abs(mean((v) => v ** 4) - 3)).toBeLessThan(4 * Math.sqrt(96 / 1e5));
  });

  it('with an offset shifts each channel as a whole', () => {
    const size = { height: 4, width: 4, channels: 3 };
    const place = trainingPlace(1, 2, 0, 0);
    const shifts = drawNoise(place, size, 0.1).map((value, i) => value - drawNoise(place, size)[i]!);
    const [channels] = [[0, 1, 2].map((channel) => shifts[channel]!)];
    shifts.forEach((shift, i) => expect(shift).toBeCloseTo(channels[i % 3]!, 5));
    expect(new Set(channels.map((shift) => shift.toFixed(4))).size).toBe(3);
  });

  it('has times over all steps of training, and of a flow around its middle where asked for', () => {
    const [variance, flow] = [scheduleOf('sd15'), scheduleOf('sd3')];
    const places = Array.from({ length: 4000 }, (_, step) => trainingPlace(5, step, 0, 0));
    const times = places.map((place) => drawTime(place, variance));
    expect([Math.min(...times) < 5, Math.max(...times) > 994, times.every(Number.isInteger)]).toEqual([true, true, true]); // prettier-ignore
    expect(times.reduce((sum, time) => sum + time, 0) / 4000).toBeGreaterThan(480);
    expect(times.reduce((sum, time) => sum + time, 0) / 4000).toBeLessThan(520);
    const around = places.map((place) => drawTime(place, flow, 'logit-normal'));
    // 68.3 % of a normal distribution lie within one deviation, whose logistic is 0.269 to 0.731.
    const inside = around.filter((time) => time > 268.9 && time < 731.1).length / 4000;
    expect(Math.abs(inside - 0.683)).toBeLessThan(0.03);
    expect(places.every((place) => drawTime(place, flow, 'uniform', 3) > drawTime(place, flow, 'uniform'))).toBe(true);
  });
});

describe('a sampler', () => {
  it.each(expected.cases)('ends where diffusers ends: $sampler on $config in $steps steps', async (told) => {
    const { times, values } = await sampled(told);
    expect(furthest(times, told.times)).toBeLessThan(told.sampler === 'flow-euler' ? 2e-3 : 1e-4);
    // The cosine's noise begins 20,000 times as large as the picture, and f32 has seven digits.
    expect(furthest(values, told.latents)).toBeLessThan(told.config === 'cosine' ? 1e-3 : 1e-4);
  });

  it('is guided away from the negative prompt as diffusers guides it', async () => {
    const conditions = tf.tensor([0, 1], [2, 1]);
    const { values } = await sampled(
      expected.guidance,
      guided((x, time) => network(x, time, conditions), 5),
    );
    conditions.dispose();
    expect(furthest(values, expected.guidance.latents)).toBeLessThan(1e-4);
  });

  it('keeps no tensor, says how far it is, and ends where it is told to', async () => {
    const before = tf.memory().numTensors;
    const start = seededNoise([3, 4], [2, 2, 1]);
    const plan = samplingPlan(scheduleOf('sd15'), 'dpm++-2m', 5);
    const done: number[] = [];
    const latents = await sampleLatents({ plan, network, start, progress: (step) => void done.push(step) });
    expect([done, latents.shape]).toEqual([[1, 2, 3, 4, 5], [2, 2, 2, 1]]); // prettier-ignore
    latents.dispose();
    const ending = new AbortController();
    const progress = (step: number) => {
      if (step === 2) ending.abort(new Error('enough'));
    };
    const ended = sampleLatents({ plan, network, start, signal: ending.signal, progress });
    await expect(ended).rejects.toThrow('enough');
    await expect(sampleLatents({ plan, start, network: () => Promise.reject(new Error('broken')) })).rejects.toThrow('broken'); // prettier-ignore
    start.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('makes a picture by its seed, whatever is made beside it', async () => {
    const [alone, beside] = [seededNoise([4], [2, 2, 1]), seededNoise([3, 4], [2, 2, 1])];
    expect([...(await beside.data())].slice(4)).toEqual([...(await alone.data())]);
    const later = seededNoise([4], [2, 2, 1], 0);
    expect(await later.data()).not.toEqual(await alone.data());
    tf.dispose([alone, beside, later]);
  });

  it('is refused where it is none for the noise, or has too many steps', () => {
    expect(() => samplingPlan(scheduleOf('sd3'), 'ddim', 20)).toThrow('take one of flow-euler');
    expect(() => samplingPlan(scheduleOf('sd15'), 'euler', 1000)).toThrow(
      'takes 1 to 999 steps, and 1000 were asked for',
    );
    const late = noiseSchedule(noiseConfig({ _class_name: 'DDIMScheduler', steps_offset: 50 }, 'late'));
    expect(() => samplingPlan(late, 'ddim', 20)).toThrow("the scheduler's steps_offset of 50; take fewer steps");
  });
});
