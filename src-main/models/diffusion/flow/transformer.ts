import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { frozenTransposed } from '../../../engine/frozen.ts';
import { layerNorm, rmsNorm } from '../../../engine/fused.ts';
import type { FrozenMatrix } from '../../../engine/packed.ts';
import { repeated } from '../../../engine/repeated.ts';
import { UserError } from '../../../engine/types.ts';
import type { Feeds } from '../../feeds.ts';
import { readJsonFile } from '../../json-file.ts';
import { recomputed } from '../../recompute.ts';
import type { LayerParameters } from '../../types.ts';
import type { WeightFormat } from '../../weight-format.ts';
import { disposeTensors, withDiffusionLoader, type DiffusionTensors } from '../loader.ts';
import { linear } from '../parts/linear.ts';
import type { FlowSteps } from '../noise/samplers/index.ts';
import type { DiffusionPass, DiffusionSite, DiffusionSiteShape } from '../site.ts';
import { openPart, type DiffusionSource } from '../source.ts';
import { sinusoids } from '../unet/time.ts';
import { by, flowBlock, type FlowTold } from './block.ts';
import { flowTransformerConfig, type FlowTransformerConfig } from './config.ts';
import { flowBlocks, flowSites, rowsName, type BlockLayout, type Seen } from './layout.ts';
import { patched, unpatched } from './patches.ts';
import { axisTables, filledUp, flowPlaces, type AxisTables, type FlowSize } from './places.ts';
import { loadFlowTransformer, PATCH, TIME_SINUSOIDS, type FlowWeights } from './weights.ts';

/** What a flow's transformer is told beside the noisy latents, as tensors of the engine. */
export interface FlowInputs {
  /** sinusoids of each picture's time; `timeFeeds` makes them */
  time: Tensor2D;
  /** the texts' features, each filled up to the longest's length, a multiple of 32, by anything, [pictures * tokens, contextWidth] */
  context: Tensor2D;
  /** how many tokens each text has, [pictures, 1] */
  pooled: Tensor2D;
}

const MOST_CONFIG_BYTES = 16 << 20;
/** The pipeline's, whatever the scheduler says. */
const TRAIN_STEPS = 1000;
const FINAL_EPSILON = 1e-6;

/** What takes the noise out of a flow's latents (ZImageTransformer2DModel), frozen, on the engine in use. */
export class FlowTransformer {
  private readonly layout: BlockLayout[];

  private constructor(
    readonly config: FlowTransformerConfig,
    /** by their names in diffusers */
    readonly tensors: DiffusionTensors,
    private readonly weights: FlowWeights,
    private readonly axes: AxisTables[],
  ) {
    this.layout = flowBlocks(config);
  }

  /** Reads it from a folder with config.json. @throws UserError naming file and field, or the tensor */
  static async load(folder: string, format: WeightFormat = 'f32'): Promise<FlowTransformer> {
    const file = path.join(folder, 'config.json');
    const config = flowTransformerConfig(await readJsonFile(file, MOST_CONFIG_BYTES), file);
    return FlowTransformer.from(config, await openPart(folder), format);
  }

  /**
   * @param source is closed
   * @param format how its large matrices are held
   */
  static async from(
    config: FlowTransformerConfig,
    source: DiffusionSource,
    format: WeightFormat = 'f32',
  ): Promise<FlowTransformer> {
    const { loaded, tensors } = await withDiffusionLoader(source, (loader) => loadFlowTransformer(config, loader), format); // prettier-ignore
    return new FlowTransformer(config, tensors, loaded, axisTables(config));
  }

  get blocks(): number {
    return this.layout.length;
  }

  get contextWidth(): number {
    return this.config.contextWidth;
  }

  /** Sides of latents are multiples of it. */
  readonly multiple = PATCH;

  /** The pipeline's: from 1 evenly to 1 / count, before the shift. */
  flowSteps(count: number, { height, width }: { height: number; width: number }): FlowSteps {
    const noises = Array.from({ length: count }, (_, i) => 1 - i / count);
    return { tokens: (height * width) / PATCH ** 2, noises };
  }

  /** What the times of some pictures feed: `time`. */
  timeFeeds(times: ArrayLike<number>): Feeds {
    const own = Array.from(times, (time) => Math.fround(Math.fround((TRAIN_STEPS - time) / TRAIN_STEPS) * this.config.timeScale)); // prettier-ignore
    const values = sinusoids(own, TIME_SINUSOIDS, { cosineFirst: true, shift: 0 });
    return { time: { values, shape: [times.length, TIME_SINUSOIDS] } };
  }

  /** It is told no sizes. */
  sizeFeeds(): Feeds {
    return {};
  }

  /**
   * What the model says of noisy latents [pictures, height, width, channels], of the same shape: noise less picture. Differentiable with
   * respect to latents, text and adaptation.
   * @throws UserError for sizes that it can't take
   */
  predict(latents: Tensor4D, { time, context, pooled }: FlowInputs, pass: DiffusionPass = {}): Tensor4D {
    const size = this.sizeOf(latents, context);
    const { weights, config } = this;
    const { pictures } = size;
    return tf.tidy(() => {
      const features = linear(silu(linear(time, weights.time.first)), weights.time.second);
      const places = flowPlaces(this.axes, pooled, size);
      const told = (sees: Seen): FlowTold => ({
        ...{ ...places.rope[sees], time: features },
        ...(sees !== 'picture' && places.shown && { shown: places.shown[sees] }),
      });
      const through = (x: Tensor2D, sees: Seen) =>
        this.layout.filter((block) => block.sees === sees).reduce((rows, { number }) => this.block(rows, number, pictures, told(sees), pass), x); // prettier-ignore

      const own = linear(patched(latents, PATCH), weights.patches);
      const picture = through(withFilling(own, weights.padding.picture, pictures), 'picture');
      const words = linear(rmsNorm(context, weights.text.norm, config.epsilon), weights.text.linear);
      const filling = tf.mul(tf.sub(1, places.isText), weights.padding.text);
      const text = through(tf.add(tf.mul(words, places.isText), filling), 'text');
      const apart = (x: Tensor2D) => tf.reshape(x, [pictures, -1, config.width]);
      const both = tf.reshape(tf.concat([apart(picture), apart(text)], 1), [-1, config.width]) as Tensor2D;
      const patches = size.rows * size.columns;
      const seen = tf.slice(apart(through(both, 'both')), [0, 0, 0], [pictures, patches, config.width]);
      const out = this.final(tf.reshape(seen, [pictures * patches, config.width]), features);
      // The model says picture less noise.
      return unpatched(tf.neg(out), size, PATCH);
    });
  }

  /** A block as a part that repeats; backward runs it again where that is wanted. */
  private block(x: Tensor2D, number: number, pictures: number, told: FlowTold, pass: DiffusionPass): Tensor2D {
    const { adaptation, recompute } = pass;
    const own = adaptation?.adapts?.('transformer') ? adaptation.parameters(number, 'transformer') : {};
    const weights = this.weights.blocks[number]!;
    const run = (rows: Tensor2D, parameters: LayerParameters, told: FlowTold) =>
      flowBlock(rows, weights, this.config, pictures, told, { adaptation, parameters });
    return repeated((rows, all) => (recompute ? recomputed(run, rows, all, told) : run(rows, all, told)), x, own);
  }

  private final(x: Tensor2D, time: Tensor2D): Tensor2D {
    const { width } = this.config;
    const { scale, linear: last } = this.weights.final;
    const normed = layerNorm(x, { weight: tf.ones([width]), bias: tf.zeros([width]) }, FINAL_EPSILON);
    return linear(by(normed, tf.expandDims(tf.add(linear(silu(time), scale), 1), 1)), last);
  }

  private sizeOf({ shape }: Tensor4D, context: Tensor2D): FlowSize {
    const [pictures, height, width, channels] = shape;
    if (height % PATCH !== 0 || width % PATCH !== 0)
      throw new UserError(`Latents of ${width} x ${height} can't be cut into patches; take sides that are multiples of ${PATCH}`); // prettier-ignore
    if (channels !== this.config.channels)
      throw new UserError(`Latents have ${channels} channels, and this model takes ${this.config.channels}`);
    const [rows, columns, text] = [height / PATCH, width / PATCH, context.shape[0] / pictures];
    const [texts, most, widest] = this.config.rope.axes.map(({ length }) => length) as [number, number, number];
    if (rows > most || columns > widest)
      throw new UserError(`A picture of ${columns} x ${rows} patches is larger than this model can place; it takes ${widest} x ${most} at most`); // prettier-ignore
    if (text + 2 > texts)
      throw new UserError(`A text of ${text} tokens is longer than this model can place; it takes ${texts - 2} at most`); // prettier-ignore
    return { pictures, rows, columns, text };
  }

  /** How many rows of each name the linears see of some pictures. @param text tokens of each text, with what it is filled up by */
  rows({ pictures, height, width, text }: { pictures: number; height: number; width: number; text: number }) {
    const tokens = filledUp((height / PATCH) * (width / PATCH));
    return {
      [rowsName('picture')]: pictures * tokens,
      [rowsName('text')]: pictures * text,
      [rowsName('both')]: pictures * (tokens + text),
    };
  }

  /** Everything that can be adapted, block by block. */
  sites(): DiffusionSiteShape[] {
    return flowSites(this.config);
  }

  /** The frozen weight of a site, [in, out]; the caller disposes it. */
  siteWeight({ block, site }: Pick<DiffusionSite, 'block' | 'site'>): Tensor2D {
    const { path: name } = this.sites().find((each) => each.block === block && each.site === site)!;
    return frozenTransposed(this.tensors.get(`${name}.weight`) as FrozenMatrix);
  }

  dispose(): void {
    disposeTensors(this.tensors);
    tf.dispose(this.axes as object[] as tf.TensorContainer[]);
  }
}

const silu = (x: Tensor2D): Tensor2D => tf.mul(x, tf.sigmoid(x));

/** Each picture's rows with as many of `filling` [1, width] behind them as their number needs. */
function withFilling(x: Tensor2D, filling: Tensor2D, pictures: number): Tensor2D {
  const [rows, width] = x.shape;
  const own = rows / pictures;
  const more = filledUp(own) - own;
  if (more === 0) return x;
  const all = tf.tile(tf.expandDims(filling, 0), [pictures, more, 1]);
  return tf.reshape(tf.concat([tf.reshape(x, [pictures, own, width]), all], 1), [-1, width]);
}
