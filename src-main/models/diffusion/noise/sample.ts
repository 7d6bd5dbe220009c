import { setImmediate } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { normals } from './draws.ts';
import type { SamplingPlan, SamplingStep } from './samplers/plan.ts';

/** A network: its prediction for latents x at a time. The caller disposes it. */
export type Denoiser = (x: Tensor, time: number) => Tensor | Promise<Tensor>;

export interface SampleOptions {
  plan: SamplingPlan;
  network: Denoiser;
  /** noise of variance 1 to begin with, [pictures, ...]; it stays the caller's */
  start: Tensor;
  /** new noise of a step from 0 on, for samplers that put some in; undefined: there must be none */
  noise?: (step: number) => Tensor;
  /** after each step: how many are done, and what the finished latents are guessed to be by now, which lasts for the call */
  progress?: (done: number, guess: Tensor) => void | Promise<void>;
  /** ends sampling before the next step, with its reason */
  signal?: AbortSignal;
}

/** Latents of pictures, from noise; the caller disposes them. Other events run between steps. @throws the signal's reason */
export async function sampleLatents({ plan, start, ...options }: SampleOptions): Promise<Tensor> {
  let x = tf.mul(start, plan.start);
  let before: Tensor | undefined;
  try {
    for (const [i, step] of plan.steps.entries()) {
      options.signal?.throwIfAborted();
      const next = await stepped(x, before, step, i, options);
      tf.dispose([x, ...(before ? [before] : [])]);
      [x, before] = [next.x, next.guess];
      await options.progress?.(i + 1, before);
      await setImmediate();
    }
    return x;
  } catch (error) {
    x.dispose();
    throw error;
  } finally {
    before?.dispose();
  }
}

async function stepped(
  x: Tensor,
  before: Tensor | undefined,
  { time, sees, guess: of, move }: SamplingStep,
  index: number,
  { network, noise }: Pick<SampleOptions, 'network' | 'noise'>,
): Promise<{ x: Tensor; guess: Tensor }> {
  const seen = tf.mul(x, sees);
  let prediction: Tensor;
  try {
    prediction = await network(seen, time);
  } finally {
    seen.dispose();
  }
  try {
    return tf.tidy(() => {
      const guess = tf.add(tf.mul(x, of.x), tf.mul(prediction, of.prediction));
      let next = tf.add(tf.mul(x, move.x), tf.mul(guess, move.guess));
      if (move.before !== 0) next = tf.add(next, tf.mul(before!, move.before));
      if (move.noise !== 0) next = tf.add(next, tf.mul(noise!(index), move.noise));
      return { x: next, guess };
    });
  } finally {
    prediction.dispose();
  }
}

/**
 * Away from the negative prompt and towards the prompt: negative + scale (prompt - negative). The network sees both in one batch, the
 * negative's half first, as diffusers lays them.
 * @param scale 1: `network` is asked for the prompt alone, with x as it is
 */
export function guided(network: Denoiser, scale: number): Denoiser {
  if (scale === 1) return network;
  return async (x, time) => {
    const twice = tf.concat([x, x]);
    let both: Tensor;
    try {
      both = await network(twice, time);
    } finally {
      twice.dispose();
    }
    try {
      return tf.tidy(() => {
        const [negative, prompt] = tf.split(both, 2) as [Tensor, Tensor];
        return tf.add(negative, tf.mul(tf.sub(prompt, negative), scale));
      });
    } finally {
      both.dispose();
    }
  };
}

/**
 * The noise of pictures by their seeds, each on its own: [pictures, ...shape]. A picture is the same whatever is made beside it.
 * @param step undefined: what it begins with; else what a sampler puts in at this step
 */
export function seededNoise(seeds: number[], shape: number[], step?: number): Tensor {
  const size = shape.reduce((product, length) => product * length, 1);
  const values = new Float32Array(seeds.length * size);
  const what = step === undefined ? 'start' : 'sampling';
  seeds.forEach((seed, i) => values.set(normals({ seed, name: `${step ?? 0}` }, what, size), i * size));
  return tf.tensor(values, [seeds.length, ...shape]);
}
