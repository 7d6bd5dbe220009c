import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { activated, gated, rmsNorm, rotary } from '../../../engine/fused.ts';
import { pickRows } from '../../../engine/pick-rows.ts';
import type { Feeds } from '../../feeds.ts';
import { attendSeen } from './attention.ts';
import type { QwenConfig } from './config.ts';
import { patchLinear, type VisionLoader } from './loader.ts';
import { adaptedNorm, linear, towerLayer, type LinearPass, type SeeingPass, type VisionLinear } from './parts.ts';
import { placed, type WindowLayout } from './windows.ts';

const EPSILON = 1e-6;

interface QwenLayer {
  norm1: Tensor1D;
  /** query, key and value in one, [3 * hidden, hidden] */
  joint: VisionLinear;
  out: VisionLinear;
  norm2: Tensor1D;
  gate: VisionLinear;
  up: VisionLinear;
  down: VisionLinear;
}

export interface QwenWeights {
  patches: VisionLinear;
  layers: QwenLayer[];
  /** the merger: a norm by patch, then two linears by merged block */
  norm: Tensor1D;
  first: VisionLinear;
  second: VisionLinear;
}

export async function loadQwen(config: QwenConfig, outSize: number, loader: VisionLoader): Promise<QwenWeights> {
  const { hiddenSize: hidden, intermediateSize: inner, frames, patchSize: patch } = config;
  const merged = hidden * config.merge ** 2;
  const norm = async (name: string) => (await loader.tensor(`${name}.weight`, [hidden])) as Tensor1D;
  const weights: QwenWeights = {
    patches: await patchLinear(loader, 'tower.patch_embed.proj', [hidden, 3, frames, patch, patch], false),
    layers: [],
    norm: await norm('tower.merger.ln_q'),
    first: await loader.linear('tower.merger.mlp.0', merged, merged),
    second: await loader.linear('tower.merger.mlp.2', outSize, merged),
  };
  for (let i = 0; i < config.layers; i++) {
    const block = `tower.blocks.${i}`;
    weights.layers.push({
      norm1: await norm(`${block}.norm1`),
      joint: await loader.linear(`${block}.attn.qkv`, 3 * hidden, hidden),
      out: await loader.linear(`${block}.attn.proj`, hidden, hidden),
      norm2: await norm(`${block}.norm2`),
      gate: await loader.linear(`${block}.mlp.gate_proj`, inner, hidden),
      up: await loader.linear(`${block}.mlp.up_proj`, inner, hidden),
      down: await loader.linear(`${block}.mlp.down_proj`, hidden, inner),
    });
  }
  return weights;
}

/** A layout's tensors: angles [places, half], what is hidden of each window's keys [windows, 1, 1, length]. */
interface Places {
  cos: Tensor2D;
  sin: Tensor2D;
  hidden: Tensor;
}

/** What the tower is fed of some pictures' patches, [patches, width] merged block by merged block. */
export function qwenFeeds(patches: Float32Array, layout: WindowLayout, width: number): Feeds {
  const count = layout.patches.length;
  const turned = [count, layout.cos.length / count];
  const hidden = Float32Array.from(layout.patches, (patch) => (patch < 0 ? -1e9 : 0));
  return {
    patches: { values: placed(patches, layout, width), shape: [count, width] },
    // The language model's tables are called cos and sin.
    towerCos: { values: layout.cos, shape: turned },
    towerSin: { values: layout.sin, shape: turned },
    hidden: { values: hidden, shape: [count / layout.length, 1, 1, layout.length] },
    blocks: { values: layout.blocks, shape: [layout.blocks.length] },
  };
}

/** Feeds as tensors -> [merged blocks, outSize], in the patches' order. */
export function encodeQwen(
  inputs: Record<string, Tensor>,
  layout: Pick<WindowLayout, 'windows' | 'length'>,
  config: QwenConfig,
  weights: QwenWeights,
  pass: SeeingPass = {},
): Tensor2D {
  return tf.tidy(() => {
    const places = { cos: inputs.towerCos as Tensor2D, sin: inputs.towerSin as Tensor2D, hidden: inputs.hidden! };
    const x = weights.layers.reduce(
      (value, layer, i) =>
        towerLayer(
          (input, own) => qwenLayer(input, layer, config.full.includes(i), layout, places, config.heads, own),
          value,
          i,
          pass,
        ),
      linear(inputs.patches as Tensor2D, weights.patches),
    );
    const { adaptation } = pass;
    const normed = adaptedNorm(x, 'tower.merger.ln_q.weight', weights.norm, EPSILON, adaptation);
    const merged = tf.reshape(normed, [-1, weights.first.weight.shape[1]]) as Tensor2D;
    const rows = pickRows(merged, inputs.blocks as Tensor1D);
    return linear(activated(linear(rows, weights.first, { adaptation }), 'gelu'), weights.second, { adaptation });
  });
}

function qwenLayer(
  x: Tensor2D,
  layer: QwenLayer,
  full: boolean,
  layout: Pick<WindowLayout, 'windows' | 'length'>,
  { cos, sin, hidden }: Places,
  heads: number,
  pass: LinearPass,
): Tensor2D {
  return tf.tidy(() => {
    const joint = linear(rmsNorm(x, layer.norm1, EPSILON), layer.joint, pass);
    const [q, k, v] = tf.split(joint, 3, 1) as [Tensor2D, Tensor2D, Tensor2D];
    const turned = [rotary(q, cos, sin, heads), rotary(k, cos, sin, heads), v] as const;
    const attended = full
      ? byPicture(turned, layout, hidden, heads)
      : attendSeen(...turned, hidden.shape[0]!, heads, hidden);
    const middle = tf.add<Tensor2D>(x, linear(attended, layer.out, pass));
    const normed = rmsNorm(middle, layer.norm2, EPSILON);
    const inner = gated(linear(normed, layer.gate, pass), linear(normed, layer.up, pass), 'silu');
    return tf.add<Tensor2D>(middle, linear(inner, layer.down, pass));
  });
}

/** Every patch sees all of its picture, one picture after the other. */
function byPicture(
  turned: readonly [Tensor2D, Tensor2D, Tensor2D],
  { windows, length }: Pick<WindowLayout, 'windows' | 'length'>,
  hidden: Tensor,
  heads: number,
): Tensor2D {
  let first = 0;
  const parts = windows.map((count) => {
    const rows = (x: Tensor2D) => tf.slice(x, [first * length, 0], [count * length, -1]);
    const mask = tf.reshape(tf.slice(hidden, [first, 0, 0, 0], [count, -1, -1, -1]), [1, 1, 1, count * length]);
    const [q, k, v] = turned.map(rows) as [Tensor2D, Tensor2D, Tensor2D];
    first += count;
    return attendSeen(q, k, v, 1, heads, mask);
  });
  return tf.concat(parts);
}
