import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { attention } from '../../../engine/attention.ts';
import { activated, layerNorm } from '../../../engine/fused.ts';
import { frozenTransposed } from '../../../engine/frozen.ts';
import type { FrozenMatrix } from '../../../engine/packed.ts';
import { pickRows } from '../../../engine/pick-rows.ts';
import { repeated } from '../../../engine/repeated.ts';
import { UserError } from '../../../engine/types.ts';
import type { Feeds } from '../../feeds.ts';
import { readJsonFile } from '../../json-file.ts';
import type { WeightFormat } from '../../weight-format.ts';
import { recomputed } from '../../recompute.ts';
import type { LayerParameters } from '../../types.ts';
import { disposeTensors, withDiffusionLoader, type DiffusionLoader, type DiffusionTensors } from '../loader.ts';
import { linear, type LinearPass } from '../parts/linear.ts';
import type { DiffusionPass, DiffusionSite, DiffusionSiteShape } from '../site.ts';
import { openPart, type DiffusionSource } from '../source.ts';
import { textConfig, type TextConfig } from './config.ts';
import { loadTextEncoder, textName, textSites, type TextGroup, type TextLayer, type TextWeights } from './weights.ts';

/** Texts on the engine, all of one length; `tokenFeeds` makes them. */
export interface TextInputs {
  /** [texts * length] */
  ids: Tensor1D;
  /** the place among these that stands for each whole text, [texts] */
  ends: Tensor1D;
}

/** What is taken of a text. */
export interface TextOptions {
  /** so many of the last layers are left out; default 0 */
  skip?: number;
  /** with the norm behind the last layer; SDXL takes what lies before it. Default: with it */
  normed?: boolean;
}

const MOST_CONFIG_BYTES = 16 << 20;

/** What texts of one length feed an encoder: `ids` and `ends`. @throws UserError for a token that it has not */
export function tokenFeeds({ endToken, vocabularySize }: TextConfig, texts: Int32Array[]): Feeds {
  const length = texts[0]!.length;
  const unknown = texts.flatMap((text) => [...text.filter((id) => id < 0 || id >= vocabularySize)])[0];
  if (unknown !== undefined)
    throw new UserError(
      `The tokenizer gives token ${unknown}, and the text encoder has ${vocabularySize}; do the two belong together?`,
    );
  const ids = new Int32Array(texts.length * length);
  texts.forEach((text, i) => ids.set(text, i * length));
  const ends = Int32Array.from(texts, (text, i) => {
    const at = endToken === undefined ? text.indexOf(text.reduce((a, b) => Math.max(a, b))) : text.indexOf(endToken);
    // As argmax has it of what is nowhere.
    return i * length + Math.max(0, at);
  });
  return { ids: { values: ids, shape: [ids.length] }, ends: { values: ends, shape: [texts.length] } };
}

/** What reads the texts (CLIPTextModel), frozen, on the engine in use. */
export class TextEncoder {
  private constructor(
    readonly config: TextConfig,
    /** the part that its sites lie in: SDXL has two encoders */
    readonly group: TextGroup,
    /** by their names in transformers, which begin with `text_model.` or `text_projection.` */
    readonly tensors: DiffusionTensors,
    private readonly weights: TextWeights,
  ) {}

  /** Reads it from a folder with config.json. @throws UserError naming file and field, or the tensor */
  static async load(folder: string, group: TextGroup = 'text'): Promise<TextEncoder> {
    const file = path.join(folder, 'config.json');
    const config = textConfig(await readJsonFile(file, MOST_CONFIG_BYTES), file);
    return TextEncoder.from(config, await openPart(folder, textName), group);
  }

  /**
   * @param source is closed
   * @param format how the matrices of what can be adapted are held
   */
  static async from(
    config: TextConfig,
    source: DiffusionSource,
    group: TextGroup = 'text',
    format: WeightFormat = 'f32',
  ): Promise<TextEncoder> {
    const load = (loader: DiffusionLoader) => loadTextEncoder(config, group, loader);
    const { loaded, tensors } = await withDiffusionLoader(source, load, format);
    return new TextEncoder(config, group, tensors, loaded);
  }

  /** The texts' tokens as features [texts * length, hiddenSize], which UNets take as context. */
  features(inputs: TextInputs, options: TextOptions = {}, pass: DiffusionPass = {}): Tensor2D {
    return tf.tidy(() => this.hidden(inputs, options, pass).features);
  }

  /** The same, and each whole text's own, [texts, projectionSize]. @throws where the encoder has no projection */
  featuresAndPooled(
    inputs: TextInputs,
    options: TextOptions = {},
    pass: DiffusionPass = {},
  ): { features: Tensor2D; pooled: Tensor2D } {
    const { projection, norm } = this.weights;
    if (!projection) throw new Error('this text encoder has no projection');
    return tf.tidy(() => {
      const { features, last } = this.hidden(inputs, options, pass, true);
      const ends = pickRows(layerNorm(last, norm, this.config.epsilon), inputs.ends);
      return { features, pooled: linear(ends, projection) };
    });
  }

  /** @param whole run all layers, whatever is skipped */
  private hidden(
    { ids, ends }: TextInputs,
    { skip = 0, normed = true }: TextOptions,
    pass: DiffusionPass,
    whole = false,
  ): { features: Tensor2D; last: Tensor2D } {
    const { config, weights } = this;
    const texts = ends.shape[0];
    const placed = tf.add(
      tf.reshape(tf.gather(weights.tokens, ids), [texts, -1, config.hiddenSize]),
      tf.slice(weights.positions, [0, 0], [ids.shape[0] / texts, -1]),
    );
    const outputs = [tf.reshape(placed, [-1, config.hiddenSize]) as Tensor2D];
    const wanted = config.layers - skip;
    for (const [i, layer] of weights.layers.slice(0, whole ? undefined : wanted).entries())
      outputs.push(this.layer(outputs[i]!, layer, i, texts, pass));
    const features = outputs[wanted]!;
    return {
      features: normed ? layerNorm(features, weights.norm, config.epsilon) : features,
      last: outputs.at(-1)!,
    };
  }

  private layer(x: Tensor2D, layer: TextLayer, number: number, texts: number, pass: DiffusionPass): Tensor2D {
    const { adaptation, recompute } = pass;
    if (!adaptation?.adapts?.(this.group)) return textLayer(x, layer, this.config, texts, {});
    const run = (rows: Tensor2D, parameters: LayerParameters) =>
      textLayer(rows, layer, this.config, texts, { adaptation, parameters });
    const parameters = adaptation.parameters(number, this.group);
    return repeated(recompute ? (rows, own) => recomputed(run, rows, own) : run, x, parameters);
  }

  /** Everything that can be adapted, layer by layer. */
  sites(): DiffusionSiteShape[] {
    return textSites(this.config, this.group);
  }

  /** The frozen weight of a site, [in, out]; the caller disposes it. */
  siteWeight({ block, site }: Pick<DiffusionSite, 'block' | 'site'>): Tensor2D {
    const { path: name } = this.sites().find((each) => each.block === block && each.site === site)!;
    return frozenTransposed(this.tensors.get(`${name}.weight`) as FrozenMatrix);
  }

  dispose(): void {
    disposeTensors(this.tensors);
  }
}

/** x + attention(norm1(x)), then x + mlp(norm2(x)); every token sees those before it. */
function textLayer(x: Tensor2D, layer: TextLayer, config: TextConfig, texts: number, pass: LinearPass): Tensor2D {
  const { heads, hiddenSize, epsilon, activation } = config;
  return tf.tidy(() => {
    const normed = layerNorm(x, layer.norm1, epsilon);
    const [q, k, v] = [layer.query, layer.key, layer.value].map((each) => linear(normed, each, pass)) as [Tensor2D, Tensor2D, Tensor2D]; // prettier-ignore
    const scale = (hiddenSize / heads) ** -0.5;
    const options = { length: x.shape[0] / texts, heads, keyValueHeads: heads, scale };
    const seen = attention(q, k, v, tf.zeros<tf.Rank.R1>([x.shape[0]], 'int32'), options);
    const middle = tf.add<Tensor2D>(x, linear(seen, layer.out, pass));
    const up = activated(linear(layerNorm(middle, layer.norm2, epsilon), layer.up, pass), activation);
    return tf.add<Tensor2D>(middle, linear(up, layer.down, pass));
  });
}
