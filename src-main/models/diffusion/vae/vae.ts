import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import { UserError } from '../../../engine/types.ts';
import { readJsonFile } from '../../json-file.ts';
import { disposeTensors, withDiffusionLoader, type DiffusionLoader, type DiffusionTensors } from '../loader.ts';
import { pointwise, type Linear } from '../parts/linear.ts';
import { openPart, type DiffusionSource } from '../source.ts';
import { vaeConfig, type VaeConfig } from './config.ts';
import { decodeHalf, encodeHalf, loadHalf, type VaeHalf } from './half.ts';

interface VaeWeights {
  encoder: VaeHalf;
  decoder: VaeHalf;
  linearIn?: Linear;
  linearOut?: Linear;
}

/** What pictures become: each number of the latents is normally distributed. */
export interface LatentMoments {
  mean: Tensor4D;
  /** between -30 and 20 */
  logVariance: Tensor4D;
}

const MOST_CONFIG_BYTES = 16 << 20;

/** Attention's linears before diffusers 0.12 renamed them; single files have them so, too. */
export const vaeName = (name: string): string =>
  name.replace(/(mid_block\.attentions\.\d+)\.(query|key|value|proj_attn)\./, (_, place: string, own: string) =>
    own === 'proj_attn' ? `${place}.to_out.0.` : `${place}.to_${own[0]}.`,
  );

/** Pictures to latents and back (AutoencoderKL), frozen, on the engine in use. Pictures are red, green and blue from -1 to 1. */
export class Vae {
  private constructor(
    readonly config: VaeConfig,
    /** by their names in diffusers */
    readonly tensors: DiffusionTensors,
    private readonly halves: VaeWeights,
  ) {}

  /** Reads it from a folder with config.json. @throws UserError naming file and field, or the tensor */
  static async load(folder: string): Promise<Vae> {
    const file = path.join(folder, 'config.json');
    const config = vaeConfig(await readJsonFile(file, MOST_CONFIG_BYTES), file);
    return Vae.from(config, await openPart(folder, vaeName));
  }

  /** @param source is closed */
  static async from(config: VaeConfig, source: DiffusionSource): Promise<Vae> {
    const { loaded, tensors } = await withDiffusionLoader(source, (loader) => loadVae(config, loader));
    return new Vae(config, tensors, loaded);
  }

  /** A latent stands for so many pixels a side. */
  get factor(): number {
    return 2 ** (this.config.channels.length - 1);
  }

  /** Pictures [pictures, height, width, 3] -> what their latents are drawn from. @throws UserError for sides that are no multiples of `factor` */
  moments(pictures: Tensor4D): LatentMoments {
    const [, height, width] = pictures.shape;
    if (height % this.factor !== 0 || width % this.factor !== 0)
      throw new UserError(`A picture of ${width} x ${height} has no whole latents; take sides that are multiples of ${this.factor}`); // prettier-ignore
    const { halves, config } = this;
    return tf.tidy(() => {
      const both = encodeHalf(pictures, halves.encoder, config.groups);
      const [mean, logVariance] = tf.split(halves.linearIn ? pointwise(both, halves.linearIn) : both, 2, 3) as [Tensor4D, Tensor4D]; // prettier-ignore
      return { mean, logVariance: tf.clipByValue(logVariance, -30, 20) };
    });
  }

  /** Diffusion's latents of pictures: drawn with this noise, which is standard normal; without it their mean. */
  encode(pictures: Tensor4D, noise?: Tensor4D): Tensor4D {
    const { scale, shift } = this.config;
    return tf.tidy(() => {
      const { mean, logVariance } = this.moments(pictures);
      const drawn = noise ? tf.add(mean, tf.mul(tf.exp(tf.mul(logVariance, 0.5)), noise)) : mean;
      return tf.mul<Tensor4D>(tf.sub(drawn, shift), scale);
    });
  }

  /** Diffusion's latents -> pictures [pictures, height, width, 3], which may lie a little outside of -1 to 1. */
  decode(latents: Tensor4D): Tensor4D {
    const { halves, config } = this;
    return tf.tidy(() => {
      const own = tf.add<Tensor4D>(tf.div(latents, config.scale), config.shift);
      return decodeHalf(halves.linearOut ? pointwise(own, halves.linearOut) : own, halves.decoder, config.groups);
    });
  }

  dispose(): void {
    disposeTensors(this.tensors);
  }
}

export async function loadVae(config: VaeConfig, loader: DiffusionLoader): Promise<VaeWeights> {
  const { latentChannels: latent } = config;
  return {
    encoder: await loadHalf('encoder', config, loader),
    decoder: await loadHalf('decoder', config, loader),
    linearIn: config.linearIn ? await loader.linear('quant_conv', 2 * latent, 2 * latent) : undefined,
    linearOut: config.linearOut ? await loader.linear('post_quant_conv', latent, latent) : undefined,
  };
}
