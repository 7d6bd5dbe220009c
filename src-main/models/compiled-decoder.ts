import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { frozenProduct, packedKernels } from '../engine/frozen.ts';
import { rmsNorm } from '../engine/fused.ts';
import { withProducts } from '../engine/products.ts';
import { keepsSequences, type SequenceKernels } from '../engine/packed.ts';
import { block } from './block.ts';
import type { CausalLM } from './causal-lm.ts';
import type { CompiledForward } from './compiled-forward.ts';
import { GraphCache } from './graph-cache.ts';
import { ropeFeeds, ropeInputs, type Feeds } from './feeds.ts';
import type { DecodedWith, Decoder } from './decoder.ts';
import { seenRows, withRows } from './seen-prompt.ts';
import type { Adaptation, ModelConfig } from './types.ts';

/** Tokens a pass takes: prompts go in large pieces, the last one padded; generated tokens one by one. A graph each. */
const PIECES = [1, 32, 256];

/** The keys and values that passes take in and read. */
interface Sequence {
  /** which of the engine's own it is, where it keeps some */
  number: number;
  cache?: GraphCache;
  attend: GraphCache['attend'];
  end(): void;
}

/** Decodes inside the engine: graphs that serve every length, over keys and values that the engine keeps between runs. */
export class CompiledDecoder implements Decoder {
  private readonly sequence: Sequence;
  private length = 0;
  private fresh = true;

  constructor(
    private readonly model: CausalLM,
    private readonly forward: CompiledForward,
    /** tokens that it has to take at most */
    tokens: number,
    private readonly how: DecodedWith,
  ) {
    const kernels = packedKernels()!; // an engine that compiles has some
    this.sequence = keepsSequences(kernels)
      ? ownSequence(kernels, model.config)
      : cachedSequence(forward, model.config, tokens);
  }

  async next(ids: Int32Array): Promise<Float32Array> {
    let logits: Float32Array = new Float32Array(0);
    const largest = PIECES.at(-1)!;
    for (let start = 0; start < ids.length; start += largest)
      logits = await this.piece(ids.subarray(start, start + largest));
    return logits;
  }

  private async piece(ids: Int32Array): Promise<Float32Array> {
    const { config } = this.model;
    const { adaptation: own, products = 'f32' } = this.how;
    const count = ids.length;
    const size = PIECES.find((piece) => piece >= count)!;
    const padded = new Int32Array(size);
    padded.set(ids);
    const positions = padded.map((_, i) => this.length + Math.min(i, count - 1));
    const feeds = {
      ids: { values: padded, shape: [size] },
      place: { values: Int32Array.of(this.sequence.number, this.length, count), shape: [3] },
      last: { values: Int32Array.of(count - 1), shape: [1] },
      ...ropeFeeds(config, { positions }),
      ...this.seenFeeds(size, count),
    };
    const logits = await this.forward.run(
      `decode in ${products}`,
      feeds,
      own,
      (inputs, adaptation) => withProducts(products, () => this.pass(inputs, adaptation)),
      this.fresh,
      this.sequence.cache,
    );
    this.fresh = false;
    this.length += count;
    return logits;
  }

  /** Of the next tokens those of pictures, where there are some. */
  private seenFeeds(size: number, count: number): Feeds {
    const { hiddenSize } = this.model.config;
    const { seen } = this.how;
    const found = seen && seenRows(seen, this.length, count, hiddenSize);
    if (!found) return {};
    const padded = (values: Float32Array, width: number) => {
      const all = new Float32Array(size * width);
      all.set(values);
      return { values: all, shape: [size, width] };
    };
    return { rows: padded(found.rows, hiddenSize), isSeen: padded(found.isSeen, 1) };
  }

  /** Logits [1, vocabulary] of the token after the last one. */
  private pass(inputs: Record<string, Tensor>, adaptation: Adaptation | undefined): Tensor {
    const { config, weights } = this.model;
    const { attentionHeads: heads, keyValueHeads, attentionScale: scale } = config;
    const { rope, localRope } = ropeInputs(inputs);
    const place = inputs.place as Tensor1D;
    let x = this.model.embed(inputs.ids as Tensor1D);
    if (inputs.rows) x = withRows(x, inputs.rows as Tensor2D, inputs.isSeen as Tensor2D);
    weights.layers.forEach((layerWeights, layer) => {
      const window = config.slidingWindow[layer];
      x = block(x, {
        config,
        weights: layerWeights,
        layer,
        rope: (window !== undefined && localRope) || rope,
        attend: (q, k, v) => this.sequence.attend(q, k, v, place, layer, { heads, keyValueHeads, scale, window }),
        adaptation,
        parameters: adaptation?.parameters(layer) ?? {},
      });
    });
    const last = tf.gather(x, inputs.last as Tensor1D);
    return frozenProduct(rmsNorm(last, weights.norm, config.normEpsilon), weights.head);
  }

  dispose(): void {
    this.sequence.end();
  }
}

/** One that the engine keeps, in which it finds any number of tokens. */
function ownSequence(kernels: SequenceKernels, { layers }: ModelConfig): Sequence {
  const number = kernels.openSequence(layers);
  return {
    number,
    attend: (q, k, v, place, layer, options) => kernels.attend(q, k, v, place, tf.tensor1d([layer], 'int32'), options),
    end: () => kernels.release(number),
  };
}

/** Sequences of about one length share a cache, one after the other, and its graphs. */
const ROOMS = 256;

function cachedSequence(forward: CompiledForward, config: ModelConfig, tokens: number): Sequence {
  let room = ROOMS;
  while (room < tokens) room *= 2;
  const at = forward.idle.findIndex((kept) => kept instanceof GraphCache && kept.room === room);
  const cache = at < 0 ? new GraphCache(config, room) : (forward.idle.splice(at, 1)[0] as GraphCache);
  return { number: 0, cache, attend: (...given) => cache.attend(...given), end: () => void forward.idle.push(cache) };
}
