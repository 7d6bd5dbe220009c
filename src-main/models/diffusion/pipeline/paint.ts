import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { UserError } from '../../../engine/types.ts';
import { asTensors } from '../../feeds.ts';
import type { Adaptation } from '../../types.ts';
import type { Picture } from '../../vision/pictures/picture.ts';
import { guided, sampleLatents, seededNoise, type Denoiser } from '../noise/sample.ts';
import { samplingPlan, type SamplerName } from '../noise/samplers/index.ts';
import { noiseSchedule } from '../noise/schedule.ts';
import type { UNetInputs } from '../unet/unet.ts';
import type { Vae } from '../vae/vae.ts';
import type { DiffusionModel } from './model.ts';
import type { TextFeatures } from './texts.ts';

/** What is to be painted, all of it together. */
export interface PaintOptions {
  prompts: string[];
  /** what to lead away from; '' is nothing in particular */
  negative: string;
  /** how far to lead away from it; 1: not at all */
  guidance: number;
  sampler: SamplerName;
  steps: number;
  /** pixels */
  height: number;
  width: number;
  /** of each picture: it is the same whatever is painted beside it */
  seeds: number[];
  adaptation?: Adaptation;
  /** steps that are done */
  progress?: (done: number) => void | Promise<void>;
  signal?: AbortSignal;
}

/** The latents of pictures by their texts, [pictures, height, width, channels]; the caller disposes them. @throws UserError, the signal's reason */
export async function paintLatents(
  model: DiffusionModel,
  { prompts, negative, guidance, seeds, ...options }: PaintOptions,
  start?: Tensor4D,
): Promise<Tensor4D> {
  const { unet, texts, file } = model;
  const { height, width, adaptation } = options;
  const factor = 2 ** (file.vae.channels.length - 1);
  const multiple = factor * 2 ** (file.unet.down.length - 1);
  if (height % multiple !== 0 || width % multiple !== 0)
    throw new UserError(`Pictures of ${width} x ${height} can't be painted by this model; take sides that are multiples of ${multiple}`); // prettier-ignore
  const plan = samplingPlan(noiseSchedule(file.noise), options.sampler, options.steps);
  const shape = [height / factor, width / factor, file.vae.latentChannels];
  const isGuided = guidance !== 1;
  const told = isGuided ? [...prompts.map(() => negative), ...prompts] : prompts;
  const features = tf.tidy(() => {
    const inputs = asTensors(texts.feeds(told).feeds);
    const own = texts.features(inputs, { adaptation });
    const features = isGuided && negative === '' && file.isEmptyZero ? withoutNegative(own) : own;
    return { ...features } as Record<string, Tensor>;
  });
  const sizes = asTensors(unet.sizeFeeds(told.map(() => [height, width, 0, 0, height, width])));
  const network: Denoiser = (x, time) =>
    tf.tidy(() => {
      const times = asTensors(unet.timeFeeds(told.map(() => time)));
      return unet.predict(x as Tensor4D, { ...times, ...sizes, ...features } as object as UNetInputs, { adaptation });
    });
  const begun: Tensor = start ?? seededNoise(seeds, shape);
  const noises: Tensor[] = [];
  const noise = (step: number) => {
    tf.dispose(noises.splice(0));
    noises.push(seededNoise(seeds, shape, step));
    return noises[0]!;
  };
  const { progress, signal } = options;
  try {
    return (await sampleLatents({ plan, network: guided(network, guidance), start: begun, noise, progress, signal })) as Tensor4D; // prettier-ignore
  } finally {
    tf.dispose([features, sizes, noises, start ? [] : [begun]]);
  }
}

/** The negative's half as zeros, as SDXL has an empty one. */
function withoutNegative({ context, pooled }: TextFeatures): TextFeatures {
  const half = <T extends Tensor>(x: T): T =>
    tf.mul(x, tf.concat([0, 1].map((kept) => tf.fill([x.shape[0]! / 2, 1], kept))));
  return { context: half(context), ...(pooled && { pooled: half(pooled) }) };
}

/** Latents as pictures. */
export async function developed(vae: Vae, latents: Tensor4D): Promise<Picture[]> {
  const [pictures, rows, columns] = latents.shape;
  const values = tf.tidy(() => tf.clipByValue(tf.add(tf.mul(vae.decode(latents), 127.5), 127.5), 0, 255));
  const numbers = await values.data();
  values.dispose();
  const [height, width] = [rows * vae.factor, columns * vae.factor];
  const size = height * width * 3;
  return Array.from({ length: pictures }, (_, i) => ({
    ...{ width, height },
    rgb: Uint8Array.from(numbers.subarray(i * size, (i + 1) * size), Math.round),
  }));
}
