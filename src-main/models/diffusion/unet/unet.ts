import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { doubled, flatFilter, IN_PLACE, type Walk } from '../../../engine/convolution.ts';
import { frozenTransposed } from '../../../engine/frozen.ts';
import { groupNorm } from '../../../engine/group-norm.ts';
import { PackedMatrix, type FrozenMatrix } from '../../../engine/packed.ts';
import { UserError } from '../../../engine/types.ts';
import type { Feeds } from '../../feeds.ts';
import { readJsonFile } from '../../json-file.ts';
import type { WeightFormat } from '../../weight-format.ts';
import { disposeTensors, withDiffusionLoader, type DiffusionLoader, type DiffusionTensors } from '../loader.ts';
import { linear } from '../parts/linear.ts';
import { convolutionShape, convolve, resnet, resnetSites } from '../parts/resnet.ts';
import { transformer, transformerSites } from '../parts/transformer.ts';
import type { FlowSteps } from '../noise/samplers/index.ts';
import type { DiffusionPass, DiffusionSite, DiffusionSiteShape } from '../site.ts';
import { openPart, type DiffusionSource } from '../source.ts';
import { unetConfig, type UNetConfig } from './config.ts';
import { samplerName, unetLayout, type LevelLayout, type UNetLayout } from './layout.ts';
import { unetRows, unetRowsName } from './rows.ts';
import { loadUNet, type Embedding, type LevelWeights, type UNetWeights } from './weights.ts';
import { sinusoids } from './time.ts';

/** What a UNet is told beside the noisy latents, as tensors of the engine. */
export interface UNetInputs {
  /** sinusoids of each picture's time, [pictures, channels of the first level]; `timeFeeds` makes them */
  time: Tensor2D;
  /** the text's features, picture after picture, [pictures * tokens, contextWidth] */
  context: Tensor2D;
  /** SDXL: each whole text's own features, [pictures, width] */
  pooled?: Tensor2D;
  /** SDXL: sinusoids of sizes and crop, [pictures, 6 * timeWidth]; `sizeFeeds` makes them */
  sizes?: Tensor2D;
}

/** Down to the half: a row and a column of zeros all around. */
const HALVING: Walk = { padding: [1, 1], stride: 2 };
const MOST_CONFIG_BYTES = 16 << 20;

/** What takes the noise out of latents (UNet2DConditionModel), frozen, on the engine in use. */
export class UNet {
  readonly layout: UNetLayout;

  private constructor(
    readonly config: UNetConfig,
    /** by their names in diffusers */
    readonly tensors: DiffusionTensors,
    private readonly weights: UNetWeights,
  ) {
    this.layout = unetLayout(config);
  }

  /** Reads it from a folder with config.json. @throws UserError naming file and field, or the tensor */
  static async load(folder: string, format: WeightFormat = 'f32'): Promise<UNet> {
    const file = path.join(folder, 'config.json');
    const config = unetConfig(await readJsonFile(file, MOST_CONFIG_BYTES), file);
    return UNet.from(config, await openPart(folder), format);
  }

  /**
   * @param source is closed
   * @param format how the matrices of what can be adapted are held
   */
  static async from(config: UNetConfig, source: DiffusionSource, format: WeightFormat = 'f32'): Promise<UNet> {
    const load = (loader: DiffusionLoader) => loadUNet(config, unetLayout(config), loader);
    const { loaded, tensors } = await withDiffusionLoader(source, load, format);
    return new UNet(config, tensors, loaded);
  }

  get blocks(): number {
    return this.layout.blocks;
  }

  get contextWidth(): number {
    return this.config.contextWidth;
  }

  /** It halves latents so often. */
  get multiple(): number {
    return 2 ** (this.config.down.length - 1);
  }

  /** Its steps are the scheduler's alone. */
  flowSteps(): FlowSteps {
    return {};
  }

  /** What the times of some pictures feed: `time`. */
  timeFeeds(times: ArrayLike<number>): Feeds {
    const width = this.config.down[0]!.channels;
    return { time: { values: sinusoids(times, width, this.config.time), shape: [times.length, width] } };
  }

  /**
   * What SDXL is told of each picture feeds: `sizes`; nothing where the model is told none.
   * @param sizes original height and width, top and left of the crop, target height and width
   */
  sizeFeeds(sizes: number[][]): Feeds {
    const { added, time } = this.config;
    if (!added) return {};
    const values = sinusoids(sizes.flat(), added.timeWidth, time);
    return { sizes: { values, shape: [sizes.length, values.length / sizes.length] } };
  }

  /**
   * What the model says of noisy latents [pictures, height, width, inChannels]: [pictures, height, width, outChannels]; differentiable
   * with respect to latents, text and adaptation.
   * @throws UserError for sizes that can't be halved as often as it does
   */
  predict(latents: Tensor4D, { time, context, pooled, sizes }: UNetInputs, pass: DiffusionPass = {}): Tensor4D {
    this.checkSize(latents);
    const { weights, layout } = this;
    return tf.tidy(() => {
      let features = embedded(time, weights.time);
      if (weights.added) features = tf.add(features, embedded(tf.concat([pooled!, sizes!], 1), weights.added));
      const told = silu(features);
      const convolutions = { adaptation: pass.adaptation };
      const through = (x: Tensor4D, i: number, level: LevelLayout, own: LevelWeights) => {
        const normed = resnet(x, own.resnets[i]!, level.resnets[i]!, told, convolutions);
        const shape = level.transformers[i];
        return shape ? transformer(normed, context, own.transformers[i]!, shape, pass) : normed;
      };

      let x = convolve(latents, weights.in);
      const skips = [x];
      layout.down.forEach((level, k) => {
        const own = weights.down[k]!;
        for (let i = 0; i < level.resnets.length; i++) skips.push((x = through(x, i, level, own)));
        if (own.sampler) skips.push((x = convolve(x, own.sampler, HALVING, convolutions)));
      });
      x = through(x, 0, layout.middle, weights.middle);
      x = resnet(x, weights.middle.resnets[1]!, layout.middle.resnets[1]!, told, convolutions);
      layout.up.forEach((level, k) => {
        const own = weights.up[k]!;
        for (let i = 0; i < level.resnets.length; i++) x = through(tf.concat([x, skips.pop()!], 3), i, level, own);
        if (own.sampler) x = convolve(doubled(x), own.sampler, IN_PLACE, convolutions);
      });
      const { groups, epsilon } = this.config;
      const normed = groupNorm(x, weights.norm.weight, weights.norm.bias, { groups, epsilon, silu: true });
      return convolve(normed, weights.out, IN_PLACE);
    });
  }

  private checkSize({ shape }: Tensor4D): void {
    const [, height, width, channels] = shape;
    const { multiple } = this;
    if (height % multiple !== 0 || width % multiple !== 0)
      throw new UserError(`Latents of ${width} x ${height} can't be halved as often as this model does; take sides that are multiples of ${multiple}`); // prettier-ignore
    if (channels !== this.config.inChannels)
      throw new UserError(`Latents have ${channels} channels, and this model takes ${this.config.inChannels}; is it one for inpainting or of another kind?`); // prettier-ignore
  }

  /** How many rows of each name the linears see of some pictures. @param text tokens of each text */
  rows({ pictures, height, width, text }: { pictures: number; height: number; width: number; text: number }) {
    return unetRows(this.config.down.length, { pictures, height, width, text });
  }

  /** Everything that can be adapted, block by block. */
  sites(): DiffusionSiteShape[] {
    return unetSites(this.config);
  }

  /** The frozen weight of a site, [in, out]; the caller disposes it. */
  siteWeight({ block, site }: Pick<DiffusionSite, 'block' | 'site'>): Tensor2D {
    const { path: name, kind } = this.sites().find((each) => each.block === block && each.site === site)!;
    const weight = this.tensors.get(`${name}.weight`);
    const isFilter = kind === 'conv' && !(weight instanceof PackedMatrix);
    return isFilter ? flatFilter(weight as Tensor4D) : frozenTransposed(weight as FrozenMatrix);
  }

  dispose(): void {
    disposeTensors(this.tensors);
  }
}

/** Everything of a UNet that can be adapted: what transformer blocks have, then residual ones, each in the order of the forward pass. */
export function unetSites(config: UNetConfig): DiffusionSiteShape[] {
  const { down, middle, up } = unetLayout(config);
  const levels = [...down, middle, ...up];
  const sites = [
    ...levels.flatMap(({ transformers }) => transformers.flatMap(transformerSites)),
    ...levels.flatMap(({ resnets, sampler, channels }) => {
      const own = resnets.flatMap(resnetSites);
      if (sampler === undefined) return own;
      return [...own, convolutionShape(resnets.at(-1)!.block!, samplerName(sampler), sampler, [channels, channels])];
    }),
  ];
  return sites.map((site) => ({ ...site, rows: unetRowsName(site, down.length) }));
}

const silu = (x: Tensor2D): Tensor2D => tf.tidy(() => tf.mul(x, tf.sigmoid(x)));

const embedded = (x: Tensor2D, { first, second }: Embedding): Tensor2D => linear(silu(linear(x, first)), second);
