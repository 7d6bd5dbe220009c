import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import type { ModelConfig } from './types.ts';

interface LayerCache {
  /** [keyValueHeads, tokens, headSize], rotated */
  keys: Tensor3D;
  values: Tensor3D;
}

/**
 * The keys and values of one sequence's tokens so far, a layer at a time. Sliding-window layers keep the window only.
 * Owns its tensors: call `dispose` at the end.
 */
export class KeyValueCache {
  readonly #layers: (LayerCache | undefined)[];
  readonly #config: ModelConfig;
  /** tokens taken in so far; the next one's position */
  length = 0;

  constructor(config: ModelConfig) {
    this.#config = config;
    this.#layers = new Array<LayerCache | undefined>(config.layers).fill(undefined);
  }

  /**
   * Takes in new tokens' keys and values and returns softmax(scale * q k^T) v over all they see.
   * q [new, heads * size], k and v [new, keyValueHeads * size]; their positions follow `length`.
   * @param reach the last token that each of the new ones sees, where they are the first ones; default: itself
   */
  attend(layer: number, q: Tensor2D, k: Tensor2D, v: Tensor2D, reach?: Int32Array): Tensor2D {
    const { attentionHeads: heads, keyValueHeads, headSize: size, attentionScale } = this.#config;
    const tokens = q.shape[0];
    const split = (x: Tensor2D, count: number) =>
      tf.transpose(tf.reshape(x, [tokens, count, size]), [1, 0, 2]) as Tensor3D;
    const { keys, values } = this.#extended(layer, split(k, keyValueHeads), split(v, keyValueHeads));
    const attended = tf.tidy(() => {
      const group = heads / keyValueHeads;
      const grouped = tf.reshape(split(q, heads), [keyValueHeads, group * tokens, size]);
      const scores = tf.mul(tf.matMul(grouped, keys, false, true), attentionScale);
      const weights = tf.softmax(this.#masked(scores, layer, tokens, group, reach));
      const out = tf.reshape(tf.matMul(weights, values), [heads, tokens, size]);
      return tf.reshape(tf.transpose(out, [1, 0, 2]), [tokens, heads * size]) as Tensor2D;
    });
    this.#store(layer, keys, values);
    return attended;
  }

  /** What was kept, and the new tokens after it. */
  #extended(layer: number, keys: Tensor3D, values: Tensor3D): LayerCache {
    const kept = this.#layers[layer];
    if (!kept) return { keys, values };
    return { keys: tf.concat([kept.keys, keys], 1), values: tf.concat([kept.values, values], 1) };
  }

  /** Keys after a query's own token, or out of its window, get -1e9. scores [keyValueHeads, group * tokens, seen] */
  #masked(scores: Tensor, layer: number, tokens: number, group: number, reach?: Int32Array): Tensor {
    const seen = scores.shape[2]!;
    const window = this.#config.slidingWindow[layer] ?? Infinity;
    if (tokens === 1 && seen <= window) return scores;
    const mask = new Float32Array(group * tokens * seen);
    for (let row = 0; row < group * tokens; row++) {
      const query = seen - tokens + (row % tokens);
      const last = reach?.[row % tokens] ?? query;
      for (let key = 0; key < seen; key++) if (key > last || query - key >= window) mask[row * seen + key] = -1e9;
    }
    return tf.add(scores, tf.tensor2d(mask, [group * tokens, seen]));
  }

  #store(layer: number, keys: Tensor3D, values: Tensor3D): void {
    tf.dispose(this.#layers[layer] as unknown as tf.TensorContainer);
    const before = Math.max(1, (this.#config.slidingWindow[layer] ?? Infinity) - 1); // what the next token still sees
    const drop = Math.max(0, keys.shape[1] - before);
    const keep = (x: Tensor3D) => tf.keep(drop > 0 ? tf.slice(x, [0, drop, 0]) : x);
    this.#layers[layer] = { keys: keep(keys), values: keep(values) };
  }

  dispose(): void {
    tf.dispose(this.#layers as unknown as tf.TensorContainer);
    this.#layers.fill(undefined);
  }
}
