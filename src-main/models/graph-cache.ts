import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { CachedAttentionOptions } from '../engine/packed.ts';
import type { Kept } from './compiled-forward.ts';
import type { ModelConfig } from './types.ts';

let made = 0;

/**
 * The keys and values of one sequence as variables of compiled passes, with room for so many tokens: for engines that keep no
 * sequences themselves. What lies behind the sequence's end is of an earlier one, and nothing sees it. Dispose it.
 */
export class GraphCache implements Kept {
  readonly name = `cache ${made++}`;
  readonly variables: tf.Variable[];
  /** of the pass that is being recorded, as `variables` */
  private next: Tensor[] = [];

  constructor(
    { layers, keyValueHeads, headSize }: ModelConfig,
    /** tokens */
    readonly room: number,
  ) {
    const empty = () => tf.tidy(() => tf.variable(tf.zeros([room, keyValueHeads * headSize]), false));
    this.variables = Array.from({ length: 2 * layers }, empty);
  }

  /** The new keys and values, once a pass is recorded. */
  updates(): Tensor[] {
    const next = this.next.map((tensor) => tf.clone(tensor));
    tf.dispose(this.next);
    this.next = [];
    return next;
  }

  /** As SequenceKernels has it: place [3] is a number, the first position, and the tokens that are no padding. */
  attend(
    q: Tensor2D,
    k: Tensor2D,
    v: Tensor2D,
    place: Tensor1D,
    layer: number,
    { heads, keyValueHeads, scale, window }: CachedAttentionOptions,
  ): Tensor2D {
    const [, start, count] = tf.split(place, 3) as [Tensor1D, Tensor1D, Tensor1D];
    const tokens = q.shape[0];
    const size = q.shape[1] / heads;
    const group = heads / keyValueHeads;
    const keyAt = tf.range(0, this.room, 1, 'int32');
    const row = tf.sub(keyAt, start);
    const isNew = tf.logicalAnd(tf.greaterEqual(row, tf.scalar(0, 'int32')), tf.less(row, count));
    const from = tf.clipByValue(row, 0, tokens - 1) as Tensor1D;
    const taken = [k, v].map((rows, i) => {
      const before = this.variables[2 * layer + i]! as unknown as Tensor2D;
      const share = tf.expandDims(tf.cast(isNew, 'float32'), 1);
      const all = tf.add(tf.mul(before, tf.sub(1, share)), tf.mul(tf.gather(rows, from), share));
      this.next[2 * layer + i] = tf.keep(all); // the block that attends frees what it made
      return tf.transpose(tf.reshape(all, [this.room, keyValueHeads, size]), [1, 0, 2]);
    }) as [Tensor, Tensor];
    const queryAt = tf.expandDims(tf.add(tf.range(0, tokens, 1, 'int32'), start), 1);
    const distance = tf.sub(queryAt, keyAt);
    let seen: Tensor = tf.greaterEqual(distance, tf.scalar(0, 'int32'));
    if (window !== undefined) seen = tf.logicalAnd(seen, tf.less(distance, tf.scalar(window, 'int32')));
    const mask = tf.mul(tf.sub(1, tf.cast(seen, 'float32')), -1e9);
    const grouped = tf.reshape(tf.transpose(tf.reshape(q, [tokens, heads, size]), [1, 0, 2]), [keyValueHeads, group * tokens, size]); // prettier-ignore
    const scores = tf.mul(tf.matMul(grouped, taken[0], false, true), scale);
    const masked = tf.add(tf.reshape(scores, [heads, tokens, this.room]), mask);
    const weights = tf.reshape(tf.softmax(masked), [keyValueHeads, group * tokens, this.room]);
    const out = tf.reshape(tf.matMul(weights, taken[1]), [heads, tokens, size]);
    return tf.reshape(tf.transpose(out, [1, 0, 2]), [tokens, heads * size]);
  }

  dispose(): void {
    tf.dispose(this.variables);
  }
}
