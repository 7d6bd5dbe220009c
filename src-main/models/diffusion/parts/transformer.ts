import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { fullAttention } from '../../../engine/full-attention.ts';
import { gated, layerNorm } from '../../../engine/fused.ts';
import { groupNorm } from '../../../engine/group-norm.ts';
import { repeated } from '../../../engine/repeated.ts';
import { recomputed } from '../../recompute.ts';
import type { LayerParameters } from '../../types.ts';
import type { DiffusionLoader } from '../loader.ts';
import type { DiffusionPass, DiffusionSiteShape } from '../site.ts';
import { linear, rowsOf, type Linear, type LinearPass } from './linear.ts';
import type { Norm } from './resnet.ts';

/** Transformer blocks over the pixels of one level: their place in the file, and their sizes. */
export interface TransformerShape {
  name: string;
  channels: number;
  heads: number;
  /** so many blocks */
  depth: number;
  /** the number of the first, counted through the network in the order of the forward pass */
  firstBlock: number;
  /** features of a token of the text */
  contextWidth: number;
  groups: number;
}

interface Attention {
  query: Linear;
  key: Linear;
  value: Linear;
  out: Linear;
}

interface BlockWeights {
  norm1: Norm;
  self: Attention;
  norm2: Norm;
  cross: Attention;
  norm3: Norm;
  up: Linear;
  down: Linear;
}

export interface TransformerWeights {
  norm: Norm;
  projectIn: Linear;
  blocks: BlockWeights[];
  projectOut: Linear;
}

/** The norm before a transformer, and those inside it, as diffusers has them. */
const GROUP_EPSILON = 1e-6;
const LAYER_EPSILON = 1e-5;

/** A block's linears by their names in the file. */
const siteOf = (block: number, name: string) => ({
  group: 'unet' as const,
  block,
  site: `unet.${name.replace(/^ff\.net\.(\d).*/, 'ff.net_$1').replace('to_out.0', 'to_out')}`,
});

/** Every linear that can be adapted, in the order of the forward pass. */
export function transformerSites({ name, channels, depth, firstBlock, contextWidth }: TransformerShape) {
  const shape = (
    block: number,
    place: string,
    inside: string,
    outFeatures: number,
    inFeatures: number,
    reads: 'self' | 'context' = 'self',
  ): DiffusionSiteShape => ({
    ...siteOf(block, inside),
    path: `${name}.${place}${inside}`,
    ...{ kind: 'linear', inFeatures, outFeatures, reads },
  });
  const blocks = Array.from({ length: depth }, (_, i): DiffusionSiteShape[] => {
    const own = (...rest: [string, number, number, ('self' | 'context')?]) =>
      shape(firstBlock + i, `transformer_blocks.${i}.`, ...rest);
    return [
      ...['to_q', 'to_k', 'to_v', 'to_out.0'].map((each) => own(`attn1.${each}`, channels, channels)),
      own('attn2.to_q', channels, channels),
      own('attn2.to_k', channels, contextWidth, 'context'),
      own('attn2.to_v', channels, contextWidth, 'context'),
      own('attn2.to_out.0', channels, channels),
      own('ff.net.0.proj', 8 * channels, channels),
      own('ff.net.2', channels, 4 * channels),
    ];
  }).flat();
  return [
    shape(firstBlock, '', 'proj_in', channels, channels),
    ...blocks,
    shape(firstBlock + depth - 1, '', 'proj_out', channels, channels),
  ];
}

export async function loadTransformer(loader: DiffusionLoader, shape: TransformerShape): Promise<TransformerWeights> {
  const { name, channels, depth, firstBlock, contextWidth } = shape;
  const blocks: BlockWeights[] = [];
  const norm = await loader.norm(`${name}.norm`, channels);
  const last = firstBlock + depth - 1;
  const projectIn = await loader.linear(`${name}.proj_in`, channels, channels, { site: siteOf(firstBlock, 'proj_in') });
  for (let i = 0; i < depth; i++) {
    const block = `${name}.transformer_blocks.${i}`;
    const own = (inside: string, out: number, width: number, biased = true) =>
      loader.linear(`${block}.${inside}`, out, width, { biased, site: siteOf(firstBlock + i, inside) });
    const attention = async (inside: string, width: number): Promise<Attention> => ({
      query: await own(`${inside}.to_q`, channels, channels, false),
      key: await own(`${inside}.to_k`, channels, width, false),
      value: await own(`${inside}.to_v`, channels, width, false),
      out: await own(`${inside}.to_out.0`, channels, channels),
    });
    blocks.push({
      norm1: await loader.norm(`${block}.norm1`, channels),
      self: await attention('attn1', channels),
      norm2: await loader.norm(`${block}.norm2`, channels),
      cross: await attention('attn2', contextWidth),
      norm3: await loader.norm(`${block}.norm3`, channels),
      up: await own('ff.net.0.proj', 8 * channels, channels),
      down: await own('ff.net.2', channels, 4 * channels),
    });
  }
  const projectOut = await loader.linear(`${name}.proj_out`, channels, channels, { site: siteOf(last, 'proj_out') });
  return { norm, projectIn, blocks, projectOut };
}

/** x [pictures, height, width, channels] + blocks of self-attention, attention to the text and feed-forward over its pixels. */
export function transformer(
  x: Tensor4D,
  context: Tensor2D,
  weights: TransformerWeights,
  shape: TransformerShape,
  pass: DiffusionPass,
): Tensor4D {
  return tf.tidy(() => {
    const { norm } = weights;
    const normed = groupNorm(x, norm.weight, norm.bias, { groups: shape.groups, epsilon: GROUP_EPSILON });
    const through = weights.blocks.reduce(
      (rows, _, i) => oneBlock(rows, context, weights, shape, x.shape[0], i, pass),
      rowsOf(normed),
    );
    return tf.add<Tensor4D>(x, tf.reshape(through, x.shape));
  });
}

/**
 * A block as a part that repeats, with the projection before the first and behind the last: what an adaptation has of a block is all
 * used in it. Backward runs it again where that is wanted.
 */
function oneBlock(
  x: Tensor2D,
  context: Tensor2D,
  { blocks, projectIn, projectOut }: TransformerWeights,
  { heads, firstBlock }: TransformerShape,
  pictures: number,
  place: number,
  { adaptation, recompute }: DiffusionPass,
): Tensor2D {
  const own = adaptation?.adapts?.('unet') ? adaptation.parameters(firstBlock + place, 'unet') : {};
  const run = (rows: Tensor2D, { context: text, ...parameters }: LayerParameters) =>
    tf.tidy(() => {
      const pass = { adaptation, parameters };
      const first = place === 0 ? linear(rows, projectIn, pass) : rows;
      const out = transformerBlock(first, text as Tensor2D, blocks[place]!, pictures, heads, pass);
      return place === blocks.length - 1 ? linear(out, projectOut, pass) : out;
    });
  // The text may be learned, too: as a parameter it gets its gradient.
  return repeated(recompute ? (rows, all) => recomputed(run, rows, all) : run, x, { ...own, context });
}

function transformerBlock(
  x: Tensor2D,
  context: Tensor2D,
  weights: BlockWeights,
  pictures: number,
  heads: number,
  pass: LinearPass,
): Tensor2D {
  const attended = (from: Tensor2D, to: Tensor2D, { query, key, value, out }: Attention) =>
    linear(fullAttention(linear(from, query, pass), linear(to, key, pass), linear(to, value, pass), pictures, heads), out, pass); // prettier-ignore
  return tf.tidy(() => {
    const first = layerNorm(x, weights.norm1, LAYER_EPSILON);
    const seen = tf.add<Tensor2D>(x, attended(first, first, weights.self));
    const read = tf.add<Tensor2D>(seen, attended(layerNorm(seen, weights.norm2, LAYER_EPSILON), context, weights.cross)); // prettier-ignore
    const [hidden, gate] = tf.split(linear(layerNorm(read, weights.norm3, LAYER_EPSILON), weights.up, pass), 2, 1) as [Tensor2D, Tensor2D]; // prettier-ignore
    return tf.add<Tensor2D>(read, linear(gated(gate, hidden, 'gelu'), weights.down, pass));
  });
}
