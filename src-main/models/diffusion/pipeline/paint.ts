import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { UserError } from '../../../engine/types.ts';
import { type Pass, passThrough } from '../../compiled-forward.ts';
import type { Feeds } from '../../feeds.ts';
import type { Adaptation } from '../../types.ts';
import type { Picture } from '../../vision/pictures/picture.ts';
import { guided, sampleLatents, seededNoise, type Denoiser } from '../noise/sample.ts';
import { samplingPlan, type SamplerName } from '../noise/samplers/index.ts';
import { noiseSchedule } from '../noise/schedule.ts';
import type { Vae } from '../vae/vae.ts';
import type { DiffusionModel } from './model.ts';
import type { NetworkInputs, NoiseNetwork } from './network.ts';
import { joinedTexts, readTexts, type TextNumbers } from './read-texts.ts';

/** What is to be painted, all of it together. */
export interface PaintOptions {
  prompts: string[];
  /** what to lead away from; '' is nothing in particular */
  negative: string;
  /** how far to lead away from it; 1: not at all, which diffusers' pipeline of Z-Image counts as 0 */
  guidance: number;
  sampler: SamplerName;
  steps: number;
  /** pixels */
  height: number;
  width: number;
  /** of each picture: it is the same whatever is painted beside it */
  seeds: number[];
  adaptation?: Adaptation;
  /** what its texts are read by, where no adaptation reads them; default: the model's encoders, which stay open then */
  readText?: (text: string) => Promise<TextNumbers>;
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
  const { network, file } = model;
  const { height, width, adaptation } = options;
  const factor = 2 ** (file.vae.channels.length - 1);
  const multiple = factor * network.multiple;
  if (height % multiple !== 0 || width % multiple !== 0)
    throw new UserError(`Pictures of ${width} x ${height} can't be painted by this model; take sides that are multiples of ${multiple}`); // prettier-ignore
  const latents = { height: height / factor, width: width / factor };
  const plan = samplingPlan(noiseSchedule(file.noise), options.sampler, options.steps, network.flowSteps(options.steps, latents)); // prettier-ignore
  const shape = [latents.height, latents.width, file.vae.latentChannels];
  const isGuided = guidance !== 1;
  const asked = isGuided ? [...prompts.map(() => negative), ...prompts] : prompts;
  const zeros = isGuided && negative === '' && file.kind !== 'z-image' && file.isEmptyZero ? prompts.length : 0;
  const told = { ...(await textFeeds(model, asked, zeros, options)), ...sizeFeeds(model, asked.length, options) };
  let isFirst = true;
  const denoiser: Denoiser = async (x, time) => {
    const latents = { values: (await x.data()) as Float32Array, shape: x.shape };
    const feeds = { latents, ...network.timeFeeds(asked.map(() => time)), ...told };
    const predicted = await passThrough(model, 'denoise', feeds, adaptation, denoised(network), isFirst);
    isFirst = false;
    return tf.tensor(predicted, x.shape);
  };
  const begun: Tensor = start ?? seededNoise(seeds, shape);
  const noises: Tensor[] = [];
  const noise = (step: number) => {
    tf.dispose(noises.splice(0));
    noises.push(seededNoise(seeds, shape, step));
    return noises[0]!;
  };
  const { progress, signal } = options;
  try {
    return (await sampleLatents({ plan, network: guided(denoiser, guidance), start: begun, noise, progress, signal })) as Tensor4D; // prettier-ignore
  } finally {
    tf.dispose([noises, start ? [] : [begun]]);
  }
}

/** The network as a pass. */
const denoised =
  (network: NoiseNetwork): Pass =>
  ({ latents, ...told }, adaptation) =>
    network.predict(latents as Tensor4D, told as object as NetworkInputs, { adaptation });

/** What the network is told by texts. @param zeros so many of them, from the first, as zeros, as SDXL has an empty negative */
async function textFeeds(
  model: DiffusionModel,
  texts: string[],
  zeros: number,
  { adaptation, readText }: Pick<PaintOptions, 'adaptation' | 'readText'>,
): Promise<Feeds> {
  const read = readText ? await eachBy(readText, texts) : await readTexts(model, texts, adaptation);
  const { context, pooled } = joinedTexts(texts.map((text) => read.get(text)!));
  for (const values of [context, pooled]) values.fill(0, 0, (zeros * values.length) / texts.length);
  const width = model.network.contextWidth;
  return {
    context: { values: context, shape: [context.length / width, width] },
    ...(pooled.length > 0 && { pooled: { values: pooled, shape: [texts.length, pooled.length / texts.length] } }),
  };
}

async function eachBy(readText: (text: string) => Promise<TextNumbers>, texts: string[]) {
  const read = new Map<string, TextNumbers>();
  for (const text of new Set(texts)) read.set(text, await readText(text));
  return read;
}

const sizeFeeds = (
  { network }: DiffusionModel,
  pictures: number,
  { height, width }: { height: number; width: number },
) => network.sizeFeeds(Array.from({ length: pictures }, () => [height, width, 0, 0, height, width]));

/** Pictures by their texts. @param vae of the model. @throws UserError, the signal's reason */
export async function paint(model: DiffusionModel, vae: Vae, options: PaintOptions): Promise<Picture[]> {
  const latents = await paintLatents(model, options);
  return developed(vae, latents).finally(() => latents.dispose());
}

/** Latents as pictures, one after the other: memory holds what one takes. */
export async function developed(vae: Vae, latents: Tensor4D): Promise<Picture[]> {
  const [count, ...shape] = latents.shape;
  const all = await latents.data();
  const pictures: Picture[] = [];
  for (let i = 0; i < count; i++) {
    const size = all.length / count;
    // By eager code: a graph for each VAE that is loaded for a picture or two costs more than it saves, and leaves some memory behind.
    const values = tf.tidy(() => colours(vae, { latents: tf.tensor(all.slice(i * size, (i + 1) * size), [1, ...shape]) })); // prettier-ignore
    const numbers = await values.data();
    values.dispose();
    pictures.push({ width: shape[1] * vae.factor, height: shape[0] * vae.factor, rgb: Uint8Array.from(numbers, Math.round) }); // prettier-ignore
  }
  return pictures;
}

/** From 0 to 255. */
const colours = (vae: Vae, { latents }: Record<string, Tensor>) =>
  tf.clipByValue(tf.add(tf.mul(vae.decode(latents as Tensor4D), 127.5), 127.5), 0, 255);
